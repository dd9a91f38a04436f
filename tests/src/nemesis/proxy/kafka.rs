//! The part of a proxy that parses Kafka. A broker sends its clients the addresses of brokers, and they would connect there without the
//! proxy. So the proxy replaces the broker's port in its answers by its own.
//!
//! In every version of the protocol, an address is the host as a text, followed by the port in four bytes. Both brokers here have the host
//! [`HOST`]. Messages must not contain these thirteen bytes, and those of the engine do not.

use tokio::io::{self, AsyncRead, AsyncReadExt};

/// The host in the addresses of the brokers of the nemesis.
pub const HOST: &str = "127.0.0.1";

/// The longest answer, more than a consumer requests at a time. Longer data is no answer of a broker.
const LONGEST: usize = 256 << 20;

/// The next answer of a broker with its length prefix, or none at the end of the connection.
pub(super) async fn answer(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let size = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
    if size > LONGEST {
        return Err(io::Error::other("this is not Kafka"));
    }
    let mut answer = length.to_vec();
    answer.resize(length.len() + size, 0);
    from.read_exact(&mut answer[length.len()..]).await?;
    Ok(Some(answer))
}

/// Replaces the port of the broker by another one.
pub(super) fn redirect(answer: &mut [u8], from: u16, to: u16) {
    let named = [HOST.as_bytes(), &u32::from(from).to_be_bytes()].concat();
    let mut begin = 0;
    while let Some(place) = find(&answer[begin..], &named) {
        let port = begin + place + HOST.len();
        begin = port + 4;
        answer[port..begin].copy_from_slice(&u32::from(to).to_be_bytes());
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut begin = 0;
    while let Some(place) = bytes.get(begin..)?.iter().position(|byte| *byte == wanted[0]) {
        begin += place;
        if bytes[begin..].starts_with(wanted) {
            return Some(begin);
        }
        begin += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_the_broker_is_replaced_and_no_other() {
        let address = |port: u16| [&[9], HOST.as_bytes(), &u32::from(port).to_be_bytes()].concat();
        let before = [address(9092), b"1111".to_vec(), address(9093), address(9092)].concat();
        let mut answer = before.clone();
        redirect(&mut answer, 9092, 40_000);
        assert_eq!(answer, [address(40_000), b"1111".to_vec(), address(9093), address(40_000)].concat());
        redirect(&mut answer, 40_000, 9092);
        assert_eq!(answer, before);
    }

    #[tokio::test]
    async fn answers_are_read_one_by_one_until_the_end() {
        let bytes = [&3_u32.to_be_bytes(), b"one".as_slice(), &0_u32.to_be_bytes()].concat();
        let mut from = bytes.as_slice();
        assert_eq!(answer(&mut from).await.expect("an answer"), Some(bytes[..7].to_vec()));
        assert_eq!(answer(&mut from).await.expect("an empty answer"), Some(vec![0; 4]));
        assert_eq!(answer(&mut from).await.expect("the end"), None);
        let mut torn = &bytes[..5];
        answer(&mut torn).await.expect_err("it is torn");
    }
}
