//! Reads: batches of tags, values that are longer than a packet in parts, and the shape of arrays of BOOL.

use super::{Asks, Client, Learned, Point, Shape, bad, misfit, pack};
use crate::drivers::contract::{LinkError, Samples};
use crate::drivers::ethernet_ip::change::{Change, Form};
use crate::drivers::ethernet_ip::cip::{self, Code};
use crate::drivers::ethernet_ip::plc_type::{PlcType, Typed};
use crate::drivers::ethernet_ip::value::Layout;
use crate::drivers::ethernet_ip::words;
use crate::tags::RawSample;

use opcua::StatusCode;

/// Longest value that is read in parts: 65,535 LREALs have half of it.
const LONGEST: usize = 1 << 20;

/// The next step for a point after its reply.
enum Next {
    Done,
    /// A structure that may be a text: its members are to be looked at.
    Text,
}

impl Client {
    /// Reads points into `out`; returns the code by which the PLC refuses a batch of several as a whole.
    pub(super) async fn read_points(
        &mut self,
        device: usize,
        points: &[u32],
        out: &mut Samples,
    ) -> Result<Option<Code>, LinkError> {
        if let Some(code) = self.find_shapes(device, points, out).await? {
            return Ok(Some(code));
        }
        let known = points.iter().copied().filter(|id| self.points[*id as usize].shape != Shape::Unknown);
        let items: Vec<pack::Item> = known.filter_map(|id| self.item(id)).collect();
        let (mut long, mut texts) = (Vec::new(), Vec::new());
        for batch in pack::pack(items.into_iter(), self.wire.room()) {
            if let [one] = &batch[..]
                && one.is_long(self.wire.room())
            {
                long.push(one.id);
                continue;
            }
            let ids: Vec<u32> = batch.iter().map(|item| item.id).collect();
            let services: Vec<Vec<u8>> = ids.iter().filter_map(|id| self.service(*id)).collect();
            if let Err(code) = self.exchange_batch(device, &services).await? {
                return Ok(Some(code));
            }
            for (at, id) in ids.into_iter().enumerate() {
                match self.replies[at].code.general {
                    cip::DONE => {
                        let data = self.wire.reply()[self.replies[at].data.clone()].to_vec();
                        if let Next::Text = self.take(id, &data, out) {
                            texts.push(id);
                        }
                    }
                    cip::PARTIAL | cip::TOO_LARGE => long.push(id),
                    _ => self.spoil(id, self.replies[at].code, out),
                }
            }
        }
        for id in long {
            if let Next::Text = self.read_long(id, out).await? {
                texts.push(id);
            }
        }
        for id in texts {
            self.read_text(id, out).await?;
        }
        Ok(None)
    }

    fn service(&self, id: u32) -> Option<Vec<u8>> {
        let Asks { path, elements } = self.points[id as usize].asks()?;
        let mut service = Vec::with_capacity(path.len() + 4);
        cip::read(&mut service, path, elements);
        Some(service)
    }

    /// Asks for the type of arrays that may be of BOOL, once for each point.
    async fn find_shapes(
        &mut self,
        device: usize,
        points: &[u32],
        out: &mut Samples,
    ) -> Result<Option<Code>, LinkError> {
        let unknown = |id: &u32| self.points[*id as usize].shape == Shape::Unknown;
        let item = |id: u32| {
            let variable = self.points[id as usize].variable.as_ref()?;
            // One element of the longest type.
            Some(pack::Item::new(id, &variable.array_path, 10))
        };
        let items: Vec<pack::Item> = points.iter().copied().filter(unknown).filter_map(item).collect();
        for batch in pack::pack(items.into_iter(), self.wire.room()) {
            let service = |item: &pack::Item| {
                let mut service = Vec::new();
                let variable = self.points[item.id as usize].variable.as_ref();
                cip::read(&mut service, variable.map_or(&[], |variable| &variable.array_path[..]), 1);
                service
            };
            let services: Vec<Vec<u8>> = batch.iter().map(service).collect();
            if let Err(code) = self.exchange_batch(device, &services).await? {
                return Ok(Some(code));
            }
            for (at, item) in batch.iter().enumerate() {
                let reply = &self.replies[at];
                // A structure that is longer than a packet is no array of BOOL.
                if !matches!(reply.code.general, cip::DONE | cip::PARTIAL | cip::TOO_LARGE) {
                    self.spoil(item.id, reply.code, out);
                    continue;
                }
                let of = PlcType::read(&self.wire.reply()[reply.data.clone()]).map(|typed| typed.of);
                let point = &mut self.points[item.id as usize];
                let Some(variable) = &point.variable else { continue };
                match (of, variable.packed()) {
                    (Some(PlcType::Dword), Some(packed)) => point.shape = Shape::Packed(packed),
                    (Some(PlcType::Dword), None) => {
                        let why =
                            format!("{}: the PLC has an array of BOOL there, with one dimension", point.address());
                        out.push((point.tag, bad(StatusCode::BadConfigurationError, &why)));
                    }
                    _ => point.shape = Shape::Plain,
                }
            }
        }
        Ok(None)
    }

    /// The value of a point in the bytes of its reply, type first.
    fn take(&mut self, id: u32, data: &[u8], out: &mut Samples) -> Next {
        let typed = PlcType::read(data);
        let layout = typed.and_then(|typed| self.layout(id, typed));
        let point = &mut self.points[id as usize];
        let Some(typed) = typed else {
            let why = format!("{}: the reply has no type", point.address());
            out.push((point.tag, bad(StatusCode::BadDecodingError, &why)));
            return Next::Done;
        };
        let Some(layout) = layout else { return Next::Text };
        match point.value(typed, layout) {
            Ok(sample) => out.push((point.tag, sample)),
            Err(Changed) => {
                point.forget();
                let why = format!("{}: its type in the PLC has changed", point.address());
                out.push((point.tag, bad(StatusCode::BadDecodingError, &why)));
            }
        }
        Next::Done
    }

    /// Where the elements are; `None` for a structure that was not looked at yet.
    fn layout(&self, id: u32, typed: Typed<'_>) -> Option<Layout> {
        let point = &self.points[id as usize];
        if let Shape::Packed(packed) = &point.shape {
            return Some(packed.layout);
        }
        let PlcType::Structure(handle) = typed.of else { return Some(Layout::Plain) };
        let size = point.size_of_one(typed.data);
        let known = || self.texts.get(&super::Structure { handle, size });
        Layout::of_handle(handle, size)
            .or_else(|| known().map(|capacity| capacity.map_or(Layout::Plain, |capacity| Layout::Text { capacity })))
    }

    /// The same for a point whose read the PLC refuses.
    fn spoil(&mut self, id: u32, code: Code, out: &mut Samples) {
        let point = &mut self.points[id as usize];
        point.held = None;
        out.push((point.tag, bad(words::status(code), &words::item(point.address(), code))));
    }

    /// A value that is longer than a packet, in several requests.
    async fn read_long(&mut self, id: u32, out: &mut Samples) -> Result<Next, LinkError> {
        let device = self.points[id as usize].device;
        let mut whole: Vec<u8> = Vec::new();
        let mut head = 0;
        loop {
            let point = &self.points[id as usize];
            let Some(Asks { path, elements }) = point.asks() else { return Ok(Next::Done) };
            let path = path.to_vec();
            let offset = u32::try_from(whole.len() - head).map_err(|_| misfit())?;
            let build = |sent: &mut Vec<u8>| cip::read_part(sent, &path, elements, offset);
            let reply = self.exchange(device, cip::READ_PART, build).await?;
            let is_last = reply.code.general == cip::DONE;
            if !is_last && reply.code.general != cip::PARTIAL {
                self.spoil(id, reply.code, out);
                return Ok(Next::Done);
            }
            let Some(typed) = PlcType::read(&self.wire.reply()[reply.data]) else { return Err(misfit()) };
            if whole.is_empty() {
                head = typed.head.len();
                whole.extend(typed.head);
            }
            // A part without bytes would never end, and one of another type is of another value.
            if whole[..head] != *typed.head || (typed.data.is_empty() && !is_last) {
                return Err(misfit());
            }
            whole.extend(typed.data);
            if whole.len() > LONGEST {
                let point = &self.points[id as usize];
                let why = format!("{}: the value has more than {LONGEST} bytes", point.address());
                out.push((point.tag, bad(StatusCode::BadConfigurationError, &why)));
                return Ok(Next::Done);
            }
            if is_last {
                return Ok(self.take(id, &whole, out));
            }
        }
    }

    /// Looks at a structure's members, and reads the value again.
    async fn read_text(&mut self, id: u32, out: &mut Samples) -> Result<(), LinkError> {
        if let Some(sample) = self.look_at(id).await? {
            out.push((self.points[id as usize].tag, sample));
            return Ok(());
        }
        let Some(item) = self.item(id) else { return Ok(()) };
        if item.is_long(self.wire.room()) {
            self.read_long(id, out).await?;
            return Ok(());
        }
        let device = self.points[id as usize].device;
        let Some(service) = self.service(id) else { return Ok(()) };
        let reply = self.exchange(device, cip::READ, |sent| sent.extend(&service)).await?;
        match reply.code.general {
            cip::DONE => {
                let data = self.wire.reply()[reply.data].to_vec();
                self.take(id, &data, out);
            }
            cip::PARTIAL | cip::TOO_LARGE => {
                self.read_long(id, out).await?;
            }
            _ => self.spoil(id, reply.code, out),
        }
        Ok(())
    }
}

/// The PLC has another type than the shape of the value was found for.
struct Changed;

impl Point {
    /// Bytes of one element.
    fn size_of_one(&self, data: &[u8]) -> usize {
        let elements = self.variable.as_ref().map_or(1, |variable| usize::from(variable.elements));
        data.len() / elements.max(1)
    }

    fn value(&mut self, typed: Typed<'_>, layout: Layout) -> Result<RawSample, Changed> {
        let Some(variable) = &self.variable else { return Err(Changed) };
        let is_packed = matches!(layout, Layout::Packed { .. });
        let may_be = variable.may_be_packed();
        if may_be && is_packed != (typed.of == PlcType::Dword) {
            return Err(Changed);
        }
        let value = variable.decode(typed.of, layout, typed.data);
        let form = Form { of: typed.of, layout, size: self.size_of_one(typed.data) };
        let bytes = typed.head.len() + typed.data.len();
        if variable.check_type(typed.of).is_ok() {
            let is_known = self
                .learned
                .as_ref()
                .is_some_and(|learned| learned.form == form && learned.head == typed.head && learned.bytes == bytes);
            if !is_known {
                self.learned = Some(Learned { head: typed.head.to_vec(), form, bytes });
            }
        } else {
            self.learned = None;
        }
        if self.has_write_every {
            let whole = |asks: Asks<'_>| {
                let (path, count, data) = (asks.path.to_vec(), asks.elements, typed.data.to_vec());
                vec![Change::Elements { path, count, data, offset: 0 }]
            };
            self.held = match &value {
                Ok(value) if is_packed || variable.address.bit.is_some() => variable.encode(form, value, 0).ok(),
                Ok(_) => self.asks().map(whole),
                Err(_) => None,
            };
        }
        Ok(match value {
            Ok(value) => RawSample::from(Ok(value)),
            Err(error) => bad(error.status, &format!("{}: {}", self.address(), error.why)),
        })
    }
}
