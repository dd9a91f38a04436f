//! Reading one's writes: every query of the views takes the position that it must see, as the argument `minPosition`.

use std::borrow::Cow;

use async_graphql::{
    ContainerType, Context, ContextSelectionSet, InputType, ObjectType, OutputType, Positioned, ServerResult, Value,
    parser::types::Field,
    registry::{Deprecation, MetaInputValue, MetaType, MetaTypeId, Registry},
};

use crate::{graphql::scalars::Long, reader::reader};

pub(crate) const ARGUMENT: &str = "minPosition";
const DESCRIPTION: &str = "The position that the answer must show, such as a `consistencyToken`: the query waits for it, and fails with \
                           `CONSISTENCY_TIMEOUT` when that takes too long; one that the book does not have is `BAD_INPUT`. The same as the header `X-Min-Position`.";

/// Queries, each with the argument `minPosition` beside its own. It is added here for all of them, so that no resolver has to
/// think of it.
#[derive(Default)]
pub(crate) struct AtPosition<Q>(Q);

impl<Q: ObjectType> ContainerType for AtPosition<Q> {
    async fn resolve_field(&self, context: &Context<'_>) -> ServerResult<Option<Value>> {
        let position = context.param_value::<Option<Long>>(ARGUMENT, None);
        let (at, position) = position.map_err(|error| context.set_error_path(error))?;
        if let Some(Long(position)) = position {
            let waiting = async { reader(context)?.show(position).await };
            waiting.await.map_err(|error| context.set_error_path(error.into_server_error(at)))?;
        }
        self.0.resolve_field(context).await
    }
}

impl<Q: ObjectType> OutputType for AtPosition<Q> {
    fn type_name() -> Cow<'static, str> {
        format!("{}AtPosition", Q::type_name()).into()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        registry.create_output_type::<Self, _>(MetaTypeId::Object, |registry| {
            let ty = <Option<Long> as InputType>::create_type_info(registry);
            let mut queries = registry.create_fake_output_type::<Q>();
            if let MetaType::Object { name, fields, rust_typename, .. } = &mut queries {
                *name = Self::type_name().into_owned();
                *rust_typename = Some(std::any::type_name::<Self>());
                for field in fields.values_mut() {
                    field.args.insert(ARGUMENT.to_owned(), argument(&ty));
                }
            }
            queries
        })
    }

    async fn resolve(&self, context: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        self.0.resolve(context, field).await
    }
}

impl<Q: ObjectType> ObjectType for AtPosition<Q> {}

fn argument(ty: &str) -> MetaInputValue {
    MetaInputValue {
        name: ARGUMENT.to_owned(),
        description: Some(DESCRIPTION.to_owned()),
        ty: ty.to_owned(),
        deprecation: Deprecation::NoDeprecated,
        default_value: None,
        visible: None,
        inaccessible: false,
        tags: Vec::new(),
        is_secret: false,
        directive_invocations: Vec::new(),
    }
}
