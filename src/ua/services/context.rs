//! A request on its way through a service: its header, the session that it belongs to, and the head of its response.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use opcua::{ObjectId, StatusCode};

use crate::model::{Origin, Plant, Roles, TagId};
use crate::stack::codec::{IdRef, NodeIdRef, Reader, Writer};
use crate::tags::part_of;
use crate::ua::diagnostics;
use crate::ua::server::Server;
use crate::ua::session::{Caller, RefusedRequest, Session, Token};
use crate::ua::space::{Live, Viewer};
use crate::ua::world::World;
use crate::value::{Hidden, Moment, Sample, UaTime};

/// The RequestHeader (Part 4 §7.33, 1.05). Its additionalHeader is stepped over by length, never decoded; its
/// timestamp is never a reason to refuse.
#[derive(Debug, Clone, Copy)]
pub struct RequestHeader<'a> {
    pub token: Option<Token>,
    pub handle: u32,
    /// The name by which the client finds this action in its own audit log.
    pub audit_entry: &'a str,
    /// Milliseconds; 0 for no hint.
    pub timeout_hint: u32,
}

impl<'a> RequestHeader<'a> {
    /// A header that no client has sent.
    pub const NONE: RequestHeader<'static> = RequestHeader { token: None, handle: 0, audit_entry: "", timeout_hint: 0 };

    pub fn read(reader: &mut Reader<'a>) -> Result<RequestHeader<'a>, StatusCode> {
        let token = match reader.node_id()?.id {
            IdRef::Opaque(bytes) => bytes.try_into().ok().map(Hidden),
            _ => None,
        };
        reader.time()?;
        let handle = reader.u32()?;
        reader.u32()?;
        let audit_entry = reader.text()?;
        let timeout_hint = reader.u32()?;
        reader.extension_object()?;
        Ok(RequestHeader { token, handle, audit_entry, timeout_hint })
    }
}

/// Type id and handle of a response.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead {
    pub type_id: u32,
    pub handle: u32,
}

impl ResponseHead {
    /// The head of a ServiceFault.
    pub fn fault(handle: u32) -> ResponseHead {
        ResponseHead { type_id: ObjectId::ServiceFault_Encoding_DefaultBinary as u32, handle }
    }

    /// Writes the type id and the ResponseHeader (Part 4 §7.34, 1.05) of a service that succeeded.
    pub fn write(self, w: &mut Writer) {
        self.write_with(StatusCode::Good, w);
    }

    pub fn write_with(self, status: StatusCode, w: &mut Writer) {
        w.node_id(NodeIdRef::numeric(0, self.type_id));
        w.time(UaTime::now());
        w.u32(self.handle);
        w.status(status);
        w.u8(0); // no DiagnosticInfo
        w.null_array();
        w.null_extension_object();
    }
}

/// A request as the channel handed it up.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The channel's number for it, which its response carries.
    pub id: u32,
    pub header: RequestHeader<'a>,
    pub head: ResponseHead,
    /// All of it, from its type id on.
    pub bytes: &'a [u8],
    pub now: Moment,
}

/// Work of a service that needs no session.
pub(crate) struct Visit<'a> {
    pub server: &'a Arc<Server>,
    pub caller: &'a Caller,
    pub request: Request<'a>,
}

/// Variables of the server itself that are kept for a request.
const MOST_LOOKED_AT: usize = 32;

/// Work of a service in a session, with the rights that the session has when the request begins.
pub struct Context<'a> {
    pub server: &'a Arc<Server>,
    /// The request runs on this world, whatever a reload does meanwhile.
    pub world: arc_swap::Guard<Arc<World>>,
    pub session: &'a Arc<Session>,
    pub roles: Roles,
    /// The channel encrypts.
    pub is_encrypted: bool,
    pub locales: Arc<[String]>,
    pub request: Request<'a>,
    pub header: RequestHeader<'a>,
    pub now: Moment,
    /// Archives whose start the response needs and the server does not know yet.
    pub wanted: RefCell<Vec<TagId>>,
    /// The largest response that the client takes and we make.
    pub most_bytes: usize,
    /// Variables of the server itself that this request has looked at: each is made once a request.
    looked_at: RefCell<Vec<(Live, Sample)>>,
    /// Samples of structures that this request has read a part of: all parts of one are of one sample.
    structures: RefCell<HashMap<TagId, Sample>>,
    /// Other requests of the session that are refused on account of this one.
    pub refused: RefCell<Vec<RefusedRequest>>,
}

impl<'a> Context<'a> {
    /// `most_bytes`: the largest response. Takes the session's lock.
    pub fn new(server: &'a Arc<Server>, session: &'a Arc<Session>, request: Request<'a>, most_bytes: usize) -> Self {
        let (world, roles, is_encrypted, locales) = loop {
            let world = server.world();
            let state = session.lock();
            // The numbers of own roles belong to one world.
            if Arc::ptr_eq(&world, &server.world()) {
                break (world, state.roles, state.is_encrypted(), Arc::clone(&state.locales));
            }
        };
        Context {
            server,
            world,
            session,
            roles,
            is_encrypted,
            locales,
            request,
            header: request.header,
            now: request.now,
            wanted: RefCell::default(),
            most_bytes,
            looked_at: RefCell::default(),
            structures: RefCell::default(),
            refused: RefCell::default(),
        }
    }

    /// The server's own look at a session, without a request; there is no response.
    pub fn without_request(server: &'a Arc<Server>, session: &'a Arc<Session>, now: Moment) -> Self {
        let head = ResponseHead::fault(0);
        Context::new(server, session, Request { id: 0, header: RequestHeader::NONE, head, bytes: &[], now }, 0)
    }

    /// Begins the response.
    pub fn write_head(&self, w: &mut Writer) {
        self.request.head.write(w);
    }

    pub fn viewer(&self) -> Viewer<'_> {
        self.viewer_in(&self.world)
    }

    /// The session as it looks at a world, which may be that of an earlier request.
    pub fn viewer_in<'w>(&'w self, world: &'w World) -> Viewer<'w> {
        let plant = &world.plant;
        Viewer { roles: self.roles, is_encrypted: self.is_encrypted, locales: &self.locales, plant }
    }

    pub fn plant(&self) -> &Plant {
        &self.world.plant
    }

    pub fn live_sample(&self, live: Live) -> Sample {
        let mut looked_at = self.looked_at.borrow_mut();
        if let Some((_, sample)) = looked_at.iter().find(|(known, _)| *known == live) {
            return sample.clone();
        }
        let sample = diagnostics::live_sample(self.server, live, self.now);
        if looked_at.len() < MOST_LOOKED_AT {
            looked_at.push((live, sample.clone()));
        }
        sample
    }

    /// The sample of a structure or of a part of one.
    pub fn member_sample(&self, id: TagId) -> Sample {
        let plant = self.plant();
        let (structure, part) = match plant.tag(id).origin {
            Origin::Part { of, part, .. } => (of, Some(part)),
            Origin::Device { .. } | Origin::Memory { .. } | Origin::Derived(_) => (id, None),
        };
        let mut structures = self.structures.borrow_mut();
        let take = || self.server.tags.with(structure, Sample::clone);
        let sample = structures.entry(structure).or_insert_with(take);
        let number = plant.structure_of(plant.tag(structure)).map(|of| of.kind.number);
        match part.zip(number) {
            Some((part, number)) => part_of(sample, number, part),
            None => sample.clone(),
        }
    }

    /// Asked after each operation, so that a response ends where it grows beyond what may be sent.
    pub fn check_size(&self, start: usize, w: &Writer) -> Result<(), StatusCode> {
        if w.mark() - start > self.most_bytes { Err(StatusCode::BadResponseTooLarge) } else { Ok(()) }
    }
}
