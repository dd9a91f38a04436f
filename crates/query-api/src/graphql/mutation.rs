//! Mutations: intents, each one command. What is the same in all of them: the key, the sending, and the payload.

use std::future::Future;

use async_graphql::{Context, CustomDirective, Directive, InputType, extensions::ResolveFut};
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

/// What a step of a mutation returns.
pub(crate) type Done<T> = async_graphql::Result<T>;

/// What the field of a mutation gives: nothing, beside an error, when it failed. So one that fails takes away nothing from the
/// others of the request.
pub(crate) type Carried<P> = async_graphql::Result<Option<P>>;

/// The identity of the mutation, a UUID: sent again, it gets the first outcome. It may stand in the input as
/// `idempotencyKey` instead.
#[Directive(location = "Field")]
pub(crate) fn idempotent(key: String) -> impl CustomDirective {
    // The key is read where the command is sent.
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

/// The input of a mutation: it serialises to the body of its command, and the key travels beside it.
pub(crate) trait Input: InputType + Serialize {
    /// The key of the mutation, if the caller chose one.
    fn idempotency_key(&self) -> Option<Uuid>;
}

/// Declares inputs.
macro_rules! inputs {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, async_graphql::InputObject, serde::Serialize)]
            pub(crate) struct $name {
                $($(#[$field_doc])* $field: $type,)*
                /// The identity of the mutation, a UUID: sent again, it gets the first outcome. A new one when left out.
                #[serde(skip)]
                idempotency_key: Option<uuid::Uuid>,
            }

            impl crate::graphql::mutation::Input for $name {
                fn idempotency_key(&self) -> Option<uuid::Uuid> {
                    self.idempotency_key
                }
            }
        )*
    };
}
pub(crate) use inputs;

/// What a mutation has come to: the whole changed object, what was wrong, and the position that shows the change.
pub(crate) trait Payload: Sized {
    /// The changed object.
    type Subject;
    /// The field that holds it.
    const SUBJECT: &'static str;

    /// Reads the changed object by its id.
    fn find(context: &Context<'_>, id: &str) -> impl Future<Output = Done<Option<Self::Subject>>> + Send;

    fn new(subject: Option<Self::Subject>, user_errors: Vec<UserError>, consistency_token: Option<Long>) -> Self;
}

/// Declares payloads, each with what reads its object.
macro_rules! payloads {
    ($($name:ident { $field:ident: $type:ty } by $find:path;)*) => {
        $(
            /// What a mutation has come to.
            #[derive(async_graphql::SimpleObject)]
            pub(crate) struct $name {
                /// The thing as it is after the mutation.
                $field: Option<$type>,
                /// What was wrong; nothing when it was done.
                user_errors: Vec<crate::graphql::user_error::UserError>,
                /// Send it as `X-Min-Position`, or give it as `minPosition`, to read what was written.
                consistency_token: Option<crate::graphql::scalars::Long>,
            }

            impl crate::graphql::mutation::Payload for $name {
                type Subject = $type;
                const SUBJECT: &'static str = stringify!($field);

                async fn find(context: &async_graphql::Context<'_>, id: &str) -> crate::graphql::mutation::Done<Option<$type>> {
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

/// A command on its way to the command API.
pub(crate) struct Intent<'c, I> {
    context: &'c Context<'c>,
    input: &'c I,
    command: &'static str,
    body: Map<String, Value>,
    key: Uuid,
}

impl<'c, I: Input> Intent<'c, I> {
    /// The command that an input asks for. What was left out of the input is left out of the body, so that the command's own
    /// default holds.
    pub(crate) fn of(context: &'c Context<'c>, command: &'static str, input: &'c I) -> Done<Self> {
        let body = serde_json::to_value(input).map_err(|error| coded("BAD_INPUT", error.to_string()))?;
        let Value::Object(mut body) = body else {
            return Err(coded("INTERNAL", "an input is an object"));
        };
        body.retain(|_, value| !value.is_null());
        let key = key(context, input.idempotency_key())?;
        Ok(Self { context, input, command, body, key })
    }

    /// Gives the new thing an id, unless the caller did: one that follows from the key, so that a repetition means the same
    /// thing.
    pub(crate) fn creating(mut self, field: &str, what: &str) -> Self {
        let id = || json!(Uuid::new_v5(&self.key, what.as_bytes()));
        self.body.entry(field).or_insert_with(id);
        self
    }

    /// Fills in what the caller left out.
    pub(crate) fn with_default(mut self, field: &str, value: impl Serialize) -> Done<Self> {
        let value = serde_json::to_value(value)?;
        self.body.entry(field).or_insert(value);
        Ok(self)
    }

    /// Sends the command, and reads the object whose id is in `field`, if it is asked for. Whatever is read from now on waits
    /// until the views that it is read from show what the command did; the others are not waited for.
    pub(crate) async fn carry_out<P: Payload>(self, field: &str) -> Carried<P> {
        let Self { context, input, command, body, key } = self;
        let id = body.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let body = Value::Object(body);
        match context.data::<Commands>()?.send(command, &body, key, viewer(context)?).await? {
            Ok(Receipt { position }) => {
                // What is done is done, even if it cannot be shown yet: the caller gets the token, and an error beside it.
                reader(context)?.has_written(position);
                let asked = context.look_ahead().field(P::SUBJECT).exists();
                let found = if asked { P::find(context, &id).await } else { Ok(None) };
                let subject = found.unwrap_or_else(|error| {
                    context.add_error(context.set_error_path(error.into_server_error(context.item.pos)));
                    None
                });
                Ok(Some(P::new(subject, Vec::new(), Some(Long(position)))))
            }
            Err(problem) => Ok(Some(P::new(None, vec![UserError::of(problem, &input.to_value())], None))),
        }
    }
}

/// The key of the mutation: of its input, of its directive `@idempotent`, or a new one.
fn key(context: &Context<'_>, in_input: Option<Uuid>) -> Done<Uuid> {
    let mut directives = context.field().directives()?.into_iter();
    let directive = directives.find(|directive| directive.name.node == "idempotent");
    let given = directive.and_then(|directive| directive.get_argument("key").map(|key| key.node.clone()));
    let in_directive = match given {
        None => None,
        Some(async_graphql::Value::String(text)) => {
            let key = text.parse::<Uuid>();
            Some(key.map_err(|_| coded("BAD_INPUT", format!("the key of @idempotent is a UUID, and not `{text}`")))?)
        }
        Some(_) => return Err(coded("BAD_INPUT", "the key of @idempotent is a UUID")),
    };
    match (in_input, in_directive) {
        (Some(a), Some(b)) if a != b => {
            Err(coded("BAD_INPUT", "idempotencyKey and @idempotent give different keys; one is enough"))
        }
        (Some(key), _) | (None, Some(key)) => Ok(key),
        (None, None) => Ok((context.data::<NewId>()?.0)()),
    }
}

/// The id that a command was accepted with.
pub(crate) fn parse(id: &str) -> Done<Uuid> {
    id.parse().map_err(|_| coded("BAD_INPUT", format!("`{id}` is not an id")))
}
