//! Other people's clients against the server: run where they can be, replayed from their documents where not.

mod asyncua;
mod documented;
mod history;
mod node_opcua;
mod o6;
