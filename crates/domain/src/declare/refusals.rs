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
