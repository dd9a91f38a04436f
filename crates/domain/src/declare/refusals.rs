//! The sets of the refusals.

/// Declares `Refusal`, the closed set of the refusals of a module, as the variant `$Slice` of the domain's.
macro_rules! refusal_set {
    ($slice:expr, $Slice:ident: $($Refusal:ident),*) => {
        /// A refusal by a rule of this slice.
        #[derive(Debug, Clone, PartialEq, Eq, ::thiserror::Error, ::serde::Serialize)]
        #[serde(untagged)]
        pub enum Refusal {
            $(
                #[doc = concat!("See [`", stringify!($Refusal), "`].")]
                #[error(transparent)]
                $Refusal(#[from] $Refusal),
            )*
        }

        impl Refusal {
            pub(crate) const fn facts(&self) -> crate::refusal::Facts {
                match self { $(Self::$Refusal(_) => crate::refusal::Facts::of::<$Refusal>(),)* }
            }

            pub(crate) fn deserialize<'de, D: ::serde::Deserializer<'de>>(
                code: &str,
                data: D,
            ) -> Option<Result<Self, D::Error>> {
                $(if code == <$Refusal as ::daybook_kernel::refusal::RefusalSpec>::CODE {
                    return Some(<$Refusal as ::serde::Deserialize>::deserialize(data).map(Self::$Refusal));
                })*
                None
            }

            /// Whether a refusal of this code is among these.
            pub(crate) fn has(code: &str) -> bool {
                false $(|| code == <$Refusal as ::daybook_kernel::refusal::RefusalSpec>::CODE)*
            }

            pub(crate) fn contracts() -> Vec<crate::RefusalContract> {
                vec![$(crate::contract::of_refusal::<$Refusal>($slice, stringify!($Refusal)),)*]
            }
        }

        $(
            impl From<$Refusal> for crate::Refusal {
                fn from(refusal: $Refusal) -> Self {
                    Self::$Slice(Refusal::$Refusal(refusal))
                }
            }

            impl crate::refusal::Refuse for $Refusal {}
        )*
    };
}

/// Declares `Refusal`, the refusals of all slices.
macro_rules! all_refusals {
    ($($Slice:ident $module:ident),*) => {
        /// A rule said no. Nothing was written.
        #[derive(Debug, Clone, PartialEq, Eq, ::thiserror::Error, ::serde::Serialize)]
        #[serde(untagged)]
        pub enum Refusal {
            /// What every slice refuses.
            #[error(transparent)]
            General(general::Refusal),
            $(
                #[doc = concat!("Of the slice `", stringify!($module), "`.")]
                #[error(transparent)]
                $Slice($module::Refusal),
            )*
        }

        impl Refusal {
            pub(crate) const fn facts(&self) -> refusal::Facts {
                match self {
                    Self::General(refusal) => refusal.facts(),
                    $(Self::$Slice(refusal) => refusal.facts(),)*
                }
            }

            /// Reads the data of the refusal of this code; `None` when there is no such refusal.
            ///
            /// # Errors
            /// The deserialiser's, when the data does not have the form of the refusal.
            pub fn deserialize<'de, D: ::serde::Deserializer<'de>>(
                code: &str,
                data: D,
            ) -> Option<Result<Self, D::Error>> {
                if general::Refusal::has(code) {
                    return Some(general::Refusal::deserialize(code, data)?.map(Self::General));
                }
                $(if $module::Refusal::has(code) {
                    return Some($module::Refusal::deserialize(code, data)?.map(Self::$Slice));
                })*
                None
            }

            /// The contracts of every refusal.
            #[must_use]
            pub fn contracts() -> Vec<RefusalContract> {
                let mut contracts = general::Refusal::contracts();
                $(contracts.extend($module::Refusal::contracts());)*
                contracts
            }
        }
    };
}

pub(crate) use {all_refusals, refusal_set};
