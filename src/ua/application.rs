//! The application that this server is, as clients see it.

/// ProductUri of BuildInfo and of the ApplicationDescription.
pub(crate) const PRODUCT_URI: &str = "urn:opcell";

/// Name and address of the application, with all defaults filled in.
#[derive(Debug, Clone)]
pub struct Application {
    pub name: String,
    pub uri: String,
    pub host: String,
    pub port: u16,
}
