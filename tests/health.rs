//! The health address, and its answers on the main port.

mod health {
    pub mod attacks;
    pub mod client;
    pub mod endpoints;
    pub mod exposition;
    pub mod metrics;
    pub mod process;
    pub mod readiness;
}
