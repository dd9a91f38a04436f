//! The life of a process: how it starts, what its probes say, how it stops, and how a cluster is rolled without a failed request.

mod balancer;
mod probes;
mod rolling;
mod served;
mod starting;
mod stopping;
