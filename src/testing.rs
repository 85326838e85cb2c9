//! Inside parts for the tests, benchmarks and fuzz targets of this repository. Hidden from the documentation; it may change
//! with every commit.

pub mod app {
    pub use crate::app::{
        Answered as Answer, Assembly, Reloader, Running, Source, assemble, fuzz_mirror, own_request, with_mirrors,
    };
}
pub mod audit {
    pub use crate::audit::{
        Audit, Content, Fault, Filter, Kind, Names, Node, Record, Scribe, Verdict, Who, Write, Writes, fuzz,
        fuzz_seeds, show, verify,
    };
}
pub mod config {
    pub use crate::config::{
        Compiled, Finding, Memory, Options, Report, Severity, Shown, Which, fuzz, load, load_from, reference, scalars,
        schema,
    };
}
pub mod control {
    pub use crate::control::{AskError, ReloadReport, ReloadResult, Request, Response, ask};
}
pub mod drivers {
    /// Names of all drivers.
    pub fn names() -> impl Iterator<Item = &'static str> {
        crate::drivers::DRIVERS.iter().map(|driver| driver.name)
    }
    pub use crate::drivers::{
        ConnectionPlan, LinkChanges, Links, Output, PointPlan, PointSettings, Settings, compare_links, fuzz_recording,
        fuzz_sysfs, probe,
    };
    pub mod modbus {
        pub use crate::drivers::modbus::{
            Charset, Framing, MaskWrite, RawType, RegisterPoint, Rtu, RtuSettings, Tcp, TcpFraming, TcpSettings,
            WordOrder, WriteFunction, crc, fuzz_reply, lrc,
        };
    }
    pub mod ethernet_ip {
        pub use crate::drivers::ethernet_ip::fuzz_reply;
    }
    pub mod s7 {
        pub use crate::drivers::s7::fuzz_reply;
    }
    pub mod opcua {
        pub use crate::drivers::opcua::{fuzz_responses, fuzz_seeds};
    }
    pub mod broker {
        pub use crate::drivers::broker::fuzz;
    }
    pub mod sparkplug {
        pub use crate::drivers::sparkplug::fuzz;
    }
    pub mod payload {
        pub use crate::drivers::payload::fuzz;
    }
}
pub mod publish {
    pub use crate::publish::fuzz;
}
pub mod formula {
    pub use crate::formula::{
        Cause, Compiled, Dimensions, Enumeration, Fault, Found, Inputs, Lookup, Memory, Moments, Names, Outcome,
        Program, Stack, Type, Want, compile, fuzz,
    };
}
pub mod health {
    pub use crate::health::{Link, State};
}
pub mod history {
    pub use crate::history::{
        Annotation, AnnotationEdit, ArchiveId, ArchiveSpec, Archives, Cursor, Direction, Edit, Fault, Gather,
        Historian, Modification, ModifiedPage, Page, Point, Row, Span, Stats, Summary, UpdateKind, Visitor, Who, *,
    };
    pub mod aggregate {
        pub use crate::history::aggregate::{
            Aggregate, Bounding, Configuration, Request, Running, RunningRequest, Source, at_time, process,
        };
    }
    pub mod store {
        pub use crate::history::store::{OnFull, Partition, Settings, Store, fuzz, fuzz_seeds};
    }
}
pub mod model {
    pub use crate::model::{
        AccessIx, Accounts, AuditLog, AuditPlan, Cell, Connection, ConnectionIx, DataType, Derivation, Formula, Node,
        NodeIx, NodeKind, NodeName, Origin, Plant, Role, Roles, SERVER_KEYS, Scale, ServerKey, Shape, Tag, TagId,
        Takes, User,
    };
}
pub mod pki {
    pub use crate::pki::{
        Certificate, Form, Keeper, OwnCertificate, OwnRequest, Pki, Suppressed, fuzz_certificate, host_name, install,
        list, request, revoke, trust,
    };
}
pub mod stack {
    pub mod channel {
        pub use crate::stack::channel::{
            Caller, CertificateCheck, ClientChannel, ClientEvent, ClientSettings, Event, OpenJob, Pace, Peer, Refusal,
            Seen, ServerChannel, ServerSettings, fuzz, fuzz_chunks, fuzz_client,
        };
    }
    pub mod client {
        pub use crate::stack::client::{Client, ClientError};
    }
    pub mod codec {
        pub use crate::stack::codec::{
            DataValue, ExtensionRef, IdRef, NodeIdRef, QualifiedNameRef, Reader, Timestamps, Writer, fuzz_structure,
            fuzz_value, random_value,
        };
    }
    pub mod crypto {
        pub use crate::stack::crypto::{
            Identities, Identity, Lane, MacKey, MessageSecurityMode, Policy, PoolThreads, decrypt_secret,
            encrypt_secret, sha256, thumbprint,
        };
    }
    pub mod transport {
        pub use crate::stack::transport::{Acknowledge, Fatal, Hello, Input, Limits, Rate, ReverseHello, fuzz};
    }
}
pub mod tags {
    pub use crate::tags::{Miss, RawSample, Stamp, TagStore, Watch, Watcher, Write, Written};
}
pub mod ua {
    pub mod budget {
        pub use crate::ua::budget::Budget;
    }
    pub mod connection {
        pub use crate::ua::connection::serve;
        pub mod loopback {
            pub use crate::ua::connection::loopback::{LoopbackClient, SUBSCRIPTION, fuzz};
        }
    }
    pub mod events {
        pub use crate::ua::events::{Affected, Event, Fields, ModelChange, verb};
    }
    pub mod limits {
        pub use crate::ua::limits::{HistoryQueue, Limits};
    }
    pub mod publishing {
        pub use crate::ua::publishing::run;
    }
    pub mod server {
        pub use crate::ua::server::Server;
    }
    pub mod services {
        pub use crate::ua::services::{Context, Request, RequestHeader, ResponseHead};
        pub mod monitored_item {
            pub use crate::ua::services::monitored_item::create;
        }
    }
    pub mod session {
        pub use crate::ua::session::{NewSession, Session, SessionSecurity};
    }
    pub mod space {
        pub use crate::ua::space::{
            Attribute, CONNECTION_VARIABLES, Field, NodeIdentity, NodeIx, NodeVersions, OwnedNodeId, Sight, Source,
        };
    }
    pub mod subscription {
        pub use crate::ua::subscription::{
            Item, MESSAGE_BYTES, Mode, NewSubscription, Parameters, Subscription, Tick, Watched,
        };
        pub mod filter {
            pub use crate::ua::subscription::filter::DataFilter;
        }
        pub mod grid {
            pub use crate::ua::subscription::grid::Grid;
        }
        pub mod queue {
            pub use crate::ua::subscription::queue::Queue;
        }
    }
    pub mod users {
        pub use crate::ua::users::{Origin, Users, hash_password};
    }
}
