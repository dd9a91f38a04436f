//! The currencies of ISO 4217: those of list one, and those of list three that were in use in 1978 or later, when the standard began. Funds,
//! units of account, precious metals and test codes are left out.
//!
//! Sources: the codes and the minor units are those of ISO 4217:2015, lists one and three. The days are those on which a currency was
//! legal tender anywhere (Unicode CLDR 48.2, `supplemental/currencyData.json`), so a changeover has both. By ISO 4217 are the first days of
//! RUB, SLE and VED, and that SVC still is one.

#![expect(clippy::inconsistent_digit_grouping, reason = "the number of a day is written in the parts of a date")]

/// A currency, with the time in which it was one. Days are numbers such as `2022_12_31`.
pub(super) struct Entry {
    pub(super) code: [u8; 3],
    pub(super) decimals: u8,
    pub(super) from: u32,
    pub(super) until: u32,
}

/// Before 1900, when no order was placed.
pub(super) const ALWAYS: u32 = 0;
/// It has no last day.
pub(super) const STILL: u32 = 9999_12_31;

const fn c(code: &str, decimals: u8, from: u32, until: u32) -> Entry {
    let code = code.as_bytes();
    Entry { code: [code[0], code[1], code[2]], decimals, from, until }
}

/// Every currency, by code.
#[rustfmt::skip]
pub(super) static CURRENCIES: [Entry; 251] = [
    c("ADP", 0, 1936_01_01, 2001_12_31), c("AED", 2, 1973_05_19, STILL), c("AFA", 2, 1927_03_14, 2002_12_31),
    c("AFN", 2, 2002_10_07, STILL), c("ALL", 2, 1965_08_16, STILL), c("AMD", 2, 1993_11_22, STILL),
    c("ANG", 2, 1940_05_10, 2025_06_30), c("AOA", 2, 1999_12_13, STILL), c("AOK", 2, 1977_01_08, 1991_03_01),
    c("AON", 2, 1990_09_25, 2000_02_01), c("AOR", 2, 1995_07_01, 2000_02_01), c("ARA", 2, 1985_06_14, 1992_01_01),
    c("ARP", 2, 1983_06_01, 1985_06_14), c("ARS", 2, 1992_01_01, STILL), c("ATS", 2, 1947_12_04, 2002_02_28),
    c("AUD", 2, 1966_02_14, STILL), c("AWG", 2, 1986_01_01, STILL), c("AZM", 2, 1993_11_22, 2006_12_31),
    c("AZN", 2, 2006_01_01, STILL), c("BAD", 2, 1992_07_01, 1994_08_15), c("BAM", 2, 1995_01_01, STILL),
    c("BBD", 2, 1973_12_03, STILL), c("BDT", 2, 1972_01_01, STILL), c("BEF", 0, ALWAYS, 2002_02_28),
    c("BGL", 2, 1962_01_01, 1999_07_05), c("BGN", 2, 1999_07_05, 2026_01_31), c("BHD", 3, 1965_10_16, STILL),
    c("BIF", 0, 1964_05_19, STILL), c("BMD", 2, 1970_02_06, STILL), c("BND", 2, 1967_06_12, STILL),
    c("BOB", 2, 1987_01_01, STILL), c("BOP", 2, 1963_01_01, 1986_12_31), c("BRB", 2, 1967_02_13, 1986_02_28),
    c("BRC", 2, 1986_02_28, 1989_01_15), c("BRE", 2, 1990_03_16, 1993_08_01), c("BRL", 2, 1994_07_01, STILL),
    c("BRN", 2, 1989_01_15, 1990_03_16), c("BRR", 2, 1993_08_01, 1994_07_01), c("BSD", 2, 1966_05_25, STILL),
    c("BTN", 2, 1974_04_16, STILL), c("BUK", 2, 1952_07_01, 1989_06_18), c("BWP", 2, 1976_08_23, STILL),
    c("BYB", 0, 1994_08_01, 2000_12_31), c("BYN", 2, 2016_07_01, STILL), c("BYR", 0, 2000_01_01, 2017_01_01),
    c("BZD", 2, 1974_01_01, STILL), c("CAD", 2, ALWAYS, STILL), c("CDF", 2, 1998_07_01, STILL),
    c("CHF", 2, ALWAYS, STILL), c("CLP", 0, 1975_09_29, STILL), c("CNY", 2, 1953_03_01, STILL),
    c("COP", 2, 1905_01_01, STILL), c("CRC", 2, ALWAYS, STILL), c("CSD", 2, 2002_05_15, 2006_10_25),
    c("CSK", 2, 1953_06_01, 1993_03_01), c("CUC", 2, 1994_01_01, 2021_06_01), c("CUP", 2, ALWAYS, STILL),
    c("CVE", 2, 1914_01_01, STILL), c("CYP", 2, 1914_09_10, 2008_01_31), c("CZK", 2, 1993_01_01, STILL),
    c("DDM", 2, 1948_07_20, 1990_10_02), c("DEM", 2, 1948_06_20, 2002_05_15), c("DJF", 0, 1977_06_27, STILL),
    c("DKK", 2, ALWAYS, STILL), c("DOP", 2, 1947_10_01, STILL), c("DZD", 2, 1964_04_01, STILL),
    c("ECS", 2, ALWAYS, 2000_10_02), c("EEK", 2, 1992_06_21, 2010_12_31), c("EGP", 2, ALWAYS, STILL),
    c("ERN", 2, 1997_11_08, STILL), c("ESP", 0, ALWAYS, 2002_02_28), c("ETB", 2, 1976_09_15, STILL),
    c("EUR", 2, 1999_01_01, STILL), c("FIM", 2, 1963_01_01, 2002_02_28), c("FJD", 2, 1969_01_13, STILL),
    c("FKP", 2, 1901_01_01, STILL), c("FRF", 2, 1959_01_01, 2002_02_17), c("GBP", 2, ALWAYS, STILL),
    c("GEK", 2, 1993_04_05, 1995_09_25), c("GEL", 2, 1995_09_23, STILL), c("GHC", 2, 1979_03_09, 2007_12_31),
    c("GHS", 2, 2007_07_03, STILL), c("GIP", 2, ALWAYS, STILL), c("GMD", 2, 1971_07_01, STILL),
    c("GNF", 0, 1986_01_06, STILL), c("GNS", 2, 1972_10_02, 1986_01_06), c("GQE", 2, 1975_07_07, 1986_06_01),
    c("GRD", 0, 1954_05_01, 2002_02_28), c("GTQ", 2, 1925_05_27, STILL), c("GWP", 2, 1976_02_28, 1997_03_31),
    c("GYD", 2, 1966_05_26, STILL), c("HKD", 2, ALWAYS, STILL), c("HNL", 2, 1926_04_03, STILL),
    c("HRD", 2, 1991_12_23, 1995_01_01), c("HRK", 2, 1994_05_30, 2023_01_14), c("HTG", 2, ALWAYS, STILL),
    c("HUF", 2, 1946_07_23, STILL), c("IDR", 2, 1965_12_13, STILL), c("IEP", 2, 1922_01_01, 2002_02_09),
    c("ILP", 2, 1948_08_16, 1980_02_22), c("ILR", 2, 1980_02_22, 1985_09_04), c("ILS", 2, 1985_09_04, STILL),
    c("INR", 2, ALWAYS, STILL), c("IQD", 3, 1931_04_19, STILL), c("IRR", 2, 1932_05_13, STILL),
    c("ISK", 0, 1981_01_01, STILL), c("ITL", 0, ALWAYS, 2002_02_28), c("JMD", 2, 1969_09_08, STILL),
    c("JOD", 3, 1950_07_01, STILL), c("JPY", 0, ALWAYS, STILL), c("KES", 2, 1966_09_14, STILL),
    c("KGS", 2, 1993_05_10, STILL), c("KHR", 2, 1980_03_20, STILL), c("KMF", 0, 1975_01_01, STILL),
    c("KPW", 2, 1959_04_17, STILL), c("KRW", 0, 1962_06_10, STILL), c("KWD", 3, 1961_04_01, STILL),
    c("KYD", 2, 1971_01_01, STILL), c("KZT", 2, 1993_11_05, STILL), c("LAK", 2, 1979_12_10, STILL),
    c("LBP", 2, 1948_02_02, STILL), c("LKR", 2, 1978_05_22, STILL), c("LRD", 2, 1944_01_01, STILL),
    c("LSL", 2, 1980_01_22, STILL), c("LTL", 2, 1993_06_25, 2014_12_31), c("LTT", 2, 1992_10_01, 1993_06_25),
    c("LUF", 0, 1944_09_04, 2002_02_28), c("LVL", 2, 1993_06_28, 2013_12_31), c("LVR", 2, 1992_05_07, 1993_10_17),
    c("LYD", 3, 1971_09_01, STILL), c("MAD", 2, 1959_10_17, STILL), c("MDL", 2, 1993_11_29, STILL),
    c("MGA", 2, 1983_11_01, STILL), c("MGF", 0, 1963_07_01, 2004_12_31), c("MKD", 2, 1993_05_20, STILL),
    c("MLF", 2, 1962_07_02, 1984_08_31), c("MMK", 2, 1989_06_18, STILL), c("MNT", 2, 1915_03_01, STILL),
    c("MOP", 2, 1901_01_01, STILL), c("MRO", 2, 1973_06_29, 2018_06_30), c("MRU", 2, 2018_01_01, STILL),
    c("MTL", 2, 1968_06_07, 2008_01_31), c("MUR", 2, 1934_04_01, STILL), c("MVR", 2, 1981_07_01, STILL),
    c("MWK", 2, 1971_02_15, STILL), c("MXN", 2, 1993_01_01, STILL), c("MXP", 2, ALWAYS, 1992_12_31),
    c("MYR", 2, 1963_09_16, STILL), c("MZE", 2, 1975_06_25, 1980_06_16), c("MZM", 2, 1980_06_16, 2006_12_31),
    c("MZN", 2, 2006_07_01, STILL), c("NAD", 2, 1993_01_01, STILL), c("NGN", 2, 1973_01_01, STILL),
    c("NIC", 2, 1988_02_15, 1991_04_30), c("NIO", 2, 1991_04_30, STILL), c("NLG", 2, ALWAYS, 2002_02_28),
    c("NOK", 2, 1905_06_07, STILL), c("NPR", 2, 1933_01_01, STILL), c("NZD", 2, 1967_07_10, STILL),
    c("OMR", 3, 1972_11_11, STILL), c("PAB", 2, 1903_11_04, STILL), c("PEI", 2, 1985_02_01, 1991_07_01),
    c("PEN", 2, 1991_07_01, STILL), c("PES", 2, ALWAYS, 1985_02_01), c("PGK", 2, 1975_09_16, STILL),
    c("PHP", 2, 1946_07_04, STILL), c("PKR", 2, 1948_04_01, STILL), c("PLN", 2, 1995_01_01, STILL),
    c("PLZ", 2, 1950_10_28, 1994_12_31), c("PTE", 0, 1911_05_22, 2002_02_28), c("PYG", 0, 1943_11_01, STILL),
    c("QAR", 2, 1973_05_19, STILL), c("RHD", 2, 1970_02_17, 1980_04_18), c("ROL", 2, 1952_01_28, 2006_12_31),
    c("RON", 2, 2005_07_01, STILL), c("RSD", 2, 2006_10_25, STILL), c("RUB", 2, 1998_01_01, STILL),
    c("RUR", 2, 1991_12_25, 1998_12_31), c("RWF", 0, 1964_05_19, STILL), c("SAR", 2, 1952_10_22, STILL),
    c("SBD", 2, 1977_10_24, STILL), c("SCR", 2, 1903_11_01, STILL), c("SDD", 2, 1992_06_08, 2007_06_30),
    c("SDG", 2, 2007_01_10, STILL), c("SDP", 2, 1957_04_08, 1998_06_01), c("SEK", 2, ALWAYS, STILL),
    c("SGD", 2, 1967_06_12, STILL), c("SHP", 2, 1917_02_15, STILL), c("SIT", 2, 1992_10_07, 2007_01_14),
    c("SKK", 2, 1992_12_31, 2009_01_01), c("SLE", 2, 2022_04_01, STILL), c("SLL", 2, 1964_08_04, 2023_12_31),
    c("SOS", 2, 1960_07_01, STILL), c("SRD", 2, 2004_01_01, STILL), c("SRG", 2, 1940_05_10, 2003_12_31),
    c("SSP", 2, 2011_07_18, STILL), c("STD", 2, 1977_09_08, 2017_12_31), c("STN", 2, 2018_01_01, STILL),
    c("SUR", 2, 1961_01_01, 1992_10_01), c("SVC", 2, 1919_11_11, STILL), c("SYP", 2, 1948_01_01, STILL),
    c("SZL", 2, 1974_09_06, STILL), c("THB", 2, 1928_04_15, STILL), c("TJR", 2, 1995_05_10, 2000_10_25),
    c("TJS", 2, 2000_10_26, STILL), c("TMM", 2, 1993_11_01, 2009_01_01), c("TMT", 2, 2009_01_01, STILL),
    c("TND", 3, 1958_11_01, STILL), c("TOP", 2, 1966_02_14, STILL), c("TPE", 0, 1959_01_02, 2002_05_20),
    c("TRL", 0, 1922_11_01, 2005_12_31), c("TRY", 2, 2005_01_01, STILL), c("TTD", 2, 1964_01_01, STILL),
    c("TWD", 2, 1949_06_15, STILL), c("TZS", 2, 1966_06_14, STILL), c("UAH", 2, 1996_09_02, STILL),
    c("UAK", 2, 1992_11_13, 1993_10_17), c("UGS", 2, 1966_08_15, 1987_05_15), c("UGX", 0, 1987_05_15, STILL),
    c("USD", 2, ALWAYS, STILL), c("UYP", 2, 1975_07_01, 1993_03_01), c("UYU", 2, 1993_03_01, STILL),
    c("UZS", 2, 1994_07_01, STILL), c("VEB", 2, ALWAYS, 2008_06_30), c("VED", 2, 2021_10_01, STILL),
    c("VEF", 2, 2008_01_01, 2018_08_20), c("VES", 2, 2018_08_20, STILL), c("VND", 0, 1985_09_14, STILL),
    c("VNN", 2, 1978_05_03, 1985_09_14), c("VUV", 0, 1981_01_01, STILL), c("WST", 2, 1967_07_10, STILL),
    c("XAF", 0, 1973_04_01, STILL), c("XCD", 2, 1965_10_06, STILL), c("XCG", 2, 2025_03_31, STILL),
    c("XOF", 0, 1958_11_24, STILL), c("XPF", 0, 1945_12_26, STILL), c("YDD", 2, 1965_04_01, 1996_01_01),
    c("YER", 2, 1990_05_22, STILL), c("YUD", 2, 1966_01_01, 1990_01_01), c("YUM", 2, 1994_01_24, 2002_05_15),
    c("YUN", 2, 1990_01_01, 1992_07_24), c("YUR", 2, 1992_07_01, 1993_10_01), c("ZAR", 2, 1961_02_14, STILL),
    c("ZMK", 2, 1968_01_16, 2013_01_01), c("ZMW", 2, 2013_01_01, STILL), c("ZRN", 2, 1993_11_01, 1998_07_31),
    c("ZRZ", 2, 1971_10_27, 1993_11_01), c("ZWD", 2, 1980_04_18, 2008_08_01), c("ZWG", 2, 2024_06_25, STILL),
    c("ZWL", 2, 2009_02_02, 2024_08_31), c("ZWR", 2, 2008_08_01, 2009_02_02),
];
