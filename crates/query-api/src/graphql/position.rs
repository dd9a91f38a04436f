//! Read your own writes: every query that reads views takes the argument `minPosition`, the position that its answer must include.

use std::borrow::Cow;

use async_graphql::{
    ContainerType, Context, ContextSelectionSet, InputType, ObjectType, OutputType, Positioned, ServerResult, Value,
    parser::types::Field,
    registry::{Deprecation, MetaInputValue, MetaType, MetaTypeId, Registry},
};

use crate::{graphql::scalars::Long, reader::reader};

pub(crate) const ARGUMENT: &str = "minPosition";
const DESCRIPTION: &str = "The position that the answer must include, such as a `consistencyToken`. The operation waits until each view that \
                           it reads has reached it, and fails with `CONSISTENCY_TIMEOUT` when that takes too long. A position beyond the end \
                           of the book is `BAD_INPUT`. The header `X-Min-Position` does the same.";

/// Adds the argument `minPosition` to all fields of a query type, so no resolver has to handle it.
#[derive(Default)]
pub(crate) struct AtPosition<Q>(Q);

impl<Q: ObjectType> ContainerType for AtPosition<Q> {
    async fn resolve_field(&self, context: &Context<'_>) -> ServerResult<Option<Value>> {
        let position = context.param_value::<Option<Long>>(ARGUMENT, None);
        let (at, position) = position.map_err(|error| context.set_error_path(error))?;
        if let Some(Long(position)) = position {
            let required = async { reader(context)?.require_named(position).await };
            required.await.map_err(|error| context.set_error_path(error.into_server_error(at)))?;
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
