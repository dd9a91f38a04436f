//! The machinery of mutations. Each mutation is an intent, and becomes one command. All have a key, are sent the same way, and return
//! a payload.

use std::{
    collections::HashSet,
    future::Future,
    sync::{Mutex, PoisonError},
};

use async_graphql::{Context, CustomDirective, Directive, InputType, extensions::ResolveFut};
use daybook_domain::ids::is_real;
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    graphql::{
        commands::{Commands, Receipt},
        environment::NewId,
        error::coded,
        scalars::Long,
        user_error::UserError,
        viewer::viewer,
    },
    reader::reader,
};

/// The result of the field of a mutation. A failed mutation gives null beside its error, so the other mutations of the request keep
/// their results.
pub(crate) type MutationResult<P> = async_graphql::Result<Option<P>>;

/// The identity of the mutation, a UUID. A mutation that is sent again with the same key gets the first outcome. The key may be in the
/// input as `idempotencyKey` instead.
#[Directive(location = "Field")]
pub(crate) fn idempotent(key: String) -> impl CustomDirective {
    // The key is read when the command is made.
    drop(key);
    Idempotent
}

struct Idempotent;

#[async_graphql::async_trait::async_trait]
impl CustomDirective for Idempotent {
    async fn resolve_field(
        &self,
        _: &Context<'_>,
        resolve: ResolveFut<'_>,
    ) -> async_graphql::ServerResult<Option<async_graphql::Value>> {
        resolve.await
    }
}

/// The input of a mutation. It serialises to the body of its command, without the key.
pub(crate) trait Input: InputType + Serialize {
    /// The fields that null empties. In other fields null is the same as no value.
    const EMPTIED: &'static [&'static str];

    /// The key of the mutation, if the caller chose one.
    fn idempotency_key(&self) -> Option<Uuid>;
}

/// Declares inputs. After `null empties` come the fields that null empties; the type of each is [`MaybeUndefined`](async_graphql::MaybeUndefined).
macro_rules! inputs {
    ($($(#[$doc:meta])* $name:ident $(null empties [$($emptied:literal),*])? { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, async_graphql::InputObject, serde::Serialize)]
            pub(crate) struct $name {
                $($(#[$field_doc])* $field: $type,)*
                /// The identity of the mutation, a UUID. A mutation that is sent again with the same key gets the first outcome. By default
                /// the mutation gets a new key.
                #[serde(skip)]
                idempotency_key: Option<uuid::Uuid>,
            }

            impl crate::graphql::mutation::Input for $name {
                const EMPTIED: &'static [&'static str] = &[$($($emptied),*)?];

                fn idempotency_key(&self) -> Option<uuid::Uuid> {
                    self.idempotency_key
                }
            }
        )*
    };
}
pub(crate) use inputs;

/// The payload of a mutation: the whole changed object, the user errors, and the position of the change.
pub(crate) trait Payload: Sized {
    /// The changed object.
    type Subject;
    /// The field that holds it.
    const SUBJECT: &'static str;

    /// Reads the changed object by its id.
    fn find(
        context: &Context<'_>,
        id: &str,
    ) -> impl Future<Output = async_graphql::Result<Option<Self::Subject>>> + Send;

    fn new(subject: Option<Self::Subject>, user_errors: Vec<UserError>, consistency_token: Option<Long>) -> Self;
}

/// Declares payloads, each with the function that reads its object. A list says how many elements it may have.
macro_rules! payloads {
    ($($name:ident { $field:ident: $type:ty $(, up_to $elements:path)? } by $find:path;)*) => {
        $(
            /// The outcome of a mutation.
            #[derive(async_graphql::SimpleObject)]
            pub(crate) struct $name {
                /// The object after the mutation.
                $(#[graphql(complexity = crate::graphql::weight::list($elements, child_complexity))])?
                $field: Option<$type>,
                /// What was wrong with the mutation; empty when it was executed.
                #[graphql(complexity = "crate::graphql::weight::list(crate::graphql::weight::USER_ERRORS, child_complexity)")]
                user_errors: Vec<crate::graphql::user_error::UserError>,
                /// The position of the change. A query with this value as `X-Min-Position` or `minPosition` sees the change.
                consistency_token: Option<crate::graphql::scalars::Long>,
            }

            impl crate::graphql::mutation::Payload for $name {
                type Subject = $type;
                const SUBJECT: &'static str = stringify!($field);

                async fn find(context: &async_graphql::Context<'_>, id: &str) -> async_graphql::Result<Option<$type>> {
                    $find(context, id).await
                }

                fn new(
                    $field: Option<$type>,
                    user_errors: Vec<crate::graphql::user_error::UserError>,
                    consistency_token: Option<crate::graphql::scalars::Long>,
                ) -> Self {
                    Self { $field, user_errors, consistency_token }
                }
            }
        )*
    };
}
pub(crate) use payloads;

/// A command that is about to be sent to the command API.
pub(crate) struct Intent<'c, I> {
    context: &'c Context<'c>,
    input: &'c I,
    command: &'static str,
    body: Map<String, Value>,
    key: Key,
}

/// The key that the header `Idempotency-Key` gives to the mutation of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeaderKey(pub(crate) Uuid);

/// The keys that the mutations of an operation have. Two mutations under one key would have one outcome.
#[derive(Debug, Default)]
pub(crate) struct UsedKeys(Mutex<HashSet<Uuid>>);

/// The key of a mutation.
#[derive(Debug, Clone, Copy)]
struct Key {
    id: Uuid,
    /// Whether the caller chose it, and may repeat the mutation.
    is_chosen: bool,
}

impl<'c, I: Input> Intent<'c, I> {
    /// The command of an input. Fields without a value are left out of the body, so the command's own defaults apply. Null stays where it
    /// empties a field.
    pub(crate) fn of(context: &'c Context<'c>, command: &'static str, input: &'c I) -> async_graphql::Result<Self> {
        let body = serde_json::to_value(input).map_err(|error| coded("BAD_INPUT", error.to_string()))?;
        let Value::Object(mut body) = body else {
            return Err(coded("INTERNAL", "an input is an object"));
        };
        body.retain(|name, value| !value.is_null() || I::EMPTIED.contains(&name.as_str()));
        let key = key(context, input.idempotency_key())?;
        Ok(Self { context, input, command, body, key })
    }

    /// Gives the new object an id, unless the caller did. It is a UUID of version 4, since it may be a secret. It derives from the
    /// caller's key and the actor, so a repeated mutation has the same id. Without a key of the caller it is random.
    pub(crate) fn creating(mut self, field: &str, kind: &str) -> async_graphql::Result<Self> {
        if !self.body.contains_key(field) {
            let Key { id, is_chosen } = self.key;
            let id = if is_chosen {
                let name = format!("{kind} {}", viewer(self.context)?.actor);
                uuid::Builder::from_random_bytes(Uuid::new_v5(&id, name.as_bytes()).into_bytes()).into_uuid()
            } else {
                (self.context.data::<NewId>()?.secret)()
            };
            self.body.insert(field.to_owned(), json!(id));
        }
        Ok(self)
    }

    /// Sends the command, and reads the object whose id is in `field`, if it is selected. From now on the operation sees what the
    /// command has written. It waits only for the views that it reads.
    pub(crate) async fn execute<P: Payload>(self, field: &str) -> MutationResult<P> {
        let Self { context, input, command, body, key } = self;
        let id = body.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let body = Value::Object(body);
        match context.data::<Commands>()?.send(command, &body, key.id, viewer(context)?).await? {
            Ok(Receipt { position }) => {
                // The command was executed, even if the views do not show it in time. The caller gets the token, and an error beside it.
                reader(context)?.require(position);
                let selected = context.look_ahead().field(P::SUBJECT).exists();
                let found = if selected { P::find(context, &id).await } else { Ok(None) };
                let subject = found.unwrap_or_else(|error| {
                    context.add_error(context.set_error_path(error.into_server_error(context.item.pos)));
                    None
                });
                Ok(Some(P::new(subject, Vec::new(), Some(Long(position)))))
            }
            Err(problem) => Ok(Some(P::new(None, UserError::all_of(problem, &input.to_value()), None))),
        }
    }
}

/// The key of the mutation, from its input, from its directive `@idempotent` or from the header of the request, or a new one.
fn key(context: &Context<'_>, of_input: Option<Uuid>) -> async_graphql::Result<Key> {
    let mut directives = context.field().directives()?.into_iter();
    let directive = directives.find(|directive| directive.name.node == "idempotent");
    let given = directive.and_then(|directive| directive.get_argument("key").map(|key| key.node.clone()));
    let of_directive = match given {
        None => None,
        Some(async_graphql::Value::String(text)) => {
            let key = text.parse::<Uuid>();
            Some(key.map_err(|_| coded("BAD_INPUT", format!("the key of @idempotent is a UUID, and not `{text}`")))?)
        }
        Some(_) => return Err(coded("BAD_INPUT", "the key of @idempotent is a UUID")),
    };
    if of_input.zip(of_directive).is_some_and(|(a, b)| a != b) {
        return Err(coded("BAD_INPUT", "idempotencyKey and @idempotent give different keys; one is enough"));
    }
    let of_header = || context.data_opt::<HeaderKey>().map(|HeaderKey(key)| *key);
    let Some(id) = of_input.or(of_directive).or_else(of_header) else {
        return Ok(Key { id: (context.data::<NewId>()?.ordered)(), is_chosen: false });
    };
    if !is_real(id) {
        let detail = "the key of a mutation is a new UUID for each; the nil and the max UUID are none";
        return Err(coded("BAD_INPUT", detail));
    }
    let UsedKeys(used) = context.data::<UsedKeys>()?;
    if !used.lock().unwrap_or_else(PoisonError::into_inner).insert(id) {
        return Err(coded(
            "BAD_INPUT",
            "a mutation before this one in the request has the same key; each needs its own",
        ));
    }
    Ok(Key { id, is_chosen: true })
}

/// The id of an accepted command.
pub(crate) fn parse(id: &str) -> async_graphql::Result<Uuid> {
    id.parse().map_err(|_| coded("BAD_INPUT", format!("`{id}` is not an id")))
}
