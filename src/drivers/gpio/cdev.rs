//! The kernel's character devices: `/dev/gpiochipN`, version 2 of their interface (Linux 5.10).
//!
//! Each line is a request of its own: a line that is taken leaves its neighbours alone, and a reload releases no other line.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gpiocdev_uapi::v2::{
    self, ChipInfo, LineConfig, LineEdgeEvent, LineFlags, LineRequest, LineValues, Offsets, get_chip_info, read_event,
};

use opcua::StatusCode;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fs::OFlags;
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

use super::kernel::{Chip, Edge, Fault, Info, Line, Of};
use super::settings::{Active, Bias, Drive};
use super::wiring::Wiring;
use crate::drivers::system::said_by_system;
use crate::value::UaTime;

/// Edges that the kernel keeps of a line, until they are read.
const KEPT: u32 = 128;

/// Edges that are read by one call.
const AT_ONCE: usize = 64;

/// Lines whose edges are reported at once.
const MOST_READY: usize = 64;

/// The kernel's kinds of edges.
const RISING: u32 = 1;
const FALLING: u32 = 2;

/// Name of this program for other users of the chip.
const CONSUMER: &str = "opcell";

#[derive(Debug)]
pub(super) struct CharDevice {
    device: String,
    file: File,
    lines: u32,
    /// All lines with edges: readable while one of them has some.
    edges: AsyncFd<OwnedFd>,
}

#[derive(Debug)]
pub(super) struct Requested {
    file: File,
    has_edges: bool,
}

/// A device of a chip, for the list of those that there are.
struct Listed {
    path: PathBuf,
    device: String,
    label: String,
}

fn errno(error: &gpiocdev_uapi::Error) -> Option<Errno> {
    match error {
        gpiocdev_uapi::Error::Os(errno) => Some(Errno::from_raw_os_error(errno.0)),
        gpiocdev_uapi::Error::UnderRead(_) => None,
    }
}

fn said(errno: Errno) -> String {
    said_by_system(&errno.into())
}

fn fault(error: &gpiocdev_uapi::Error) -> Fault {
    match errno(error) {
        Some(errno) => of_errno(errno),
        None => Fault::line(StatusCode::BadCommunicationError, error.to_string()),
    }
}

fn of_errno(errno: Errno) -> Fault {
    match errno {
        Errno::NODEV | Errno::NOENT => Fault::chip("the chip has gone"),
        Errno::ACCESS | Errno::PERM => Fault::line(StatusCode::BadUserAccessDenied, said(errno)),
        Errno::BUSY => Fault::line(StatusCode::BadResourceUnavailable, "another program has it".to_owned()),
        Errno::INVAL | Errno::OPNOTSUPP | Errno::NOTTY | Errno::NXIO => Fault::line(
            StatusCode::BadConfigurationError,
            format!("the chip refuses it ({}); check `bias`, `drive` and `debounce`", said(errno)),
        ),
        _ => Fault::line(StatusCode::BadDeviceFailure, said(errno)),
    }
}

fn open(path: &Path) -> Result<File, Fault> {
    File::options().read(true).write(true).open(path).map_err(|error| {
        let path = path.display();
        match error.kind() {
            std::io::ErrorKind::NotFound => Fault::chip(format!("there is no {path}")),
            std::io::ErrorKind::PermissionDenied => {
                let text = format!("{path} may not be opened; add the server's user to the group of this device");
                Fault { of: Of::Right, ..Fault::chip(text) }
            }
            _ => Fault::chip(format!("{path}: {error}")),
        }
    })
}

fn info_of(file: &File) -> Result<ChipInfo, Fault> {
    get_chip_info(file).map_err(|error| fault(&error))
}

/// The chips that can be opened, in the order of their numbers; and the first one that may not be.
fn all() -> (Vec<Listed>, Option<Fault>) {
    let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let number = |name: &str| name.strip_prefix("gpiochip").and_then(|number| number.parse::<u32>().ok());
    let mut found: Vec<(u32, PathBuf)> =
        entries.filter_map(|entry| Some((number(entry.file_name().to_str()?)?, entry.path()))).collect();
    found.sort();
    let (mut chips, mut denied) = (Vec::new(), None);
    for (number, path) in found {
        match open(&path).and_then(|file| info_of(&file)) {
            Ok(info) => {
                chips.push(Listed { path, device: format!("gpiochip{number}"), label: String::from(&info.label) });
            }
            Err(fault) if fault.of == Of::Right => {
                denied.get_or_insert(fault);
            }
            Err(_) => {}
        }
    }
    (chips, denied)
}

/// The device of a chip that is named by its device or its label.
fn device_of(name: &str) -> Result<PathBuf, Fault> {
    let device = name.strip_prefix("/dev/").unwrap_or(name);
    let path = Path::new("/dev").join(device);
    if device.starts_with("gpiochip") && path.exists() || name.starts_with("/dev/") {
        return Ok(path);
    }
    let (chips, denied) = all();
    let named: Vec<&Listed> = chips.iter().filter(|chip| chip.label == name).collect();
    match (&named[..], denied) {
        ([one], _) => Ok(one.path.clone()),
        ([], Some(denied)) => Err(denied),
        ([], None) if chips.is_empty() => Err(Fault::chip(format!("no such chip `{name}`; there is none"))),
        ([], None) => {
            let known: Vec<String> = chips.iter().map(|chip| format!("{} ({})", chip.device, chip.label)).collect();
            Err(Fault::chip(format!("no such chip `{name}`; known: {}", known.join(", "))))
        }
        (several, _) => {
            let devices: Vec<&str> = several.iter().map(|chip| chip.device.as_str()).collect();
            Err(Fault::chip(format!(
                "several chips have the label `{name}`: {}; write one of them",
                devices.join(", ")
            )))
        }
    }
}

impl Chip for CharDevice {
    type Line = Requested;

    fn open(name: &str) -> Result<CharDevice, Fault> {
        let path = device_of(name)?;
        let file = open(&path)?;
        let info = get_chip_info(&file).map_err(|_| Fault::chip(format!("{} is no GPIO chip", path.display())))?;
        let edges = epoll::create(CreateFlags::CLOEXEC).map_err(of_errno)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe; this descriptor is owned, and stays open while it is registered"
        )]
        let edges = AsyncFd::new(edges).map_err(|error| Fault::chip(error.to_string()))?;
        Ok(CharDevice { device: String::from(&info.name), file, lines: info.num_lines, edges })
    }

    fn device(&self) -> String {
        self.device.clone()
    }

    fn list(&self) -> Result<Vec<Info>, Fault> {
        let info = |offset: u32| {
            let info = v2::get_line_info(&self.file, offset).map_err(|error| fault(&error))?;
            Ok(Info {
                offset,
                name: String::from(&info.name),
                consumer: String::from(&info.consumer),
                is_used: info.flags.contains(LineFlags::USED),
                is_output: info.flags.contains(LineFlags::OUTPUT),
            })
        };
        (0..self.lines).map(info).collect()
    }

    fn request(&self, offset: u32, wiring: &Wiring) -> Result<Requested, Fault> {
        // An output without `on_start` is first taken as it is, so that its level remains.
        let begins_as_is = wiring.is_as_is || wiring.is_output && wiring.on_start.is_none();
        let first = if begins_as_is { as_is(wiring) } else { config(wiring, wiring.on_start.unwrap_or(false)) };
        let request = LineRequest {
            offsets: Offsets::from_slice(&[offset]),
            consumer: CONSUMER.into(),
            config: first,
            num_lines: 1,
            event_buffer_size: if wiring.has_edges() { KEPT } else { 0 },
            ..LineRequest::default()
        };
        let file = v2::get_line(&self.file, request).map_err(|error| match errno(&error) {
            Some(Errno::BUSY) => self.taken(offset),
            _ => fault(&error),
        })?;
        let line = Requested { file, has_edges: wiring.has_edges() };
        if begins_as_is && !wiring.is_as_is {
            let level = line.level()?;
            v2::set_line_config(&line.file, config(wiring, level)).map_err(|error| fault(&error))?;
        }
        if line.has_edges {
            let flags = rustix::fs::fcntl_getfl(&line.file).map_err(of_errno)?;
            rustix::fs::fcntl_setfl(&line.file, flags | OFlags::NONBLOCK).map_err(of_errno)?;
            epoll::add(self.edges.get_ref(), &line.file, EventData::new_u64(offset.into()), EventFlags::IN)
                .map_err(of_errno)?;
        }
        Ok(line)
    }

    async fn ready(&self) -> Result<Vec<u32>, Fault> {
        loop {
            let mut guard = self.edges.readable().await.map_err(|error| Fault::chip(error.to_string()))?;
            let mut events: Vec<Event> = Vec::with_capacity(MOST_READY);
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            epoll::wait(self.edges.get_ref(), spare_capacity(&mut events), Some(&now)).map_err(of_errno)?;
            if !events.is_empty() {
                let offset = |event: &Event| u32::try_from(event.data.u64()).unwrap_or(u32::MAX);
                return Ok(events.iter().map(offset).collect());
            }
            guard.clear_ready();
        }
    }
}

impl CharDevice {
    /// The fault of a line that another program has.
    fn taken(&self, offset: u32) -> Fault {
        let info = v2::get_line_info(&self.file, offset);
        let consumer = info.map(|info| String::from(&info.consumer)).unwrap_or_default();
        let by = if consumer.is_empty() { "another program".to_owned() } else { format!("`{consumer}`") };
        Fault::line(StatusCode::BadResourceUnavailable, format!("{by} has this line; it is tried again each second"))
    }
}

/// The line without a change of its direction.
fn as_is(wiring: &Wiring) -> LineConfig {
    let flags = if wiring.active == Active::Low { LineFlags::ACTIVE_LOW } else { LineFlags::empty() };
    LineConfig { flags, ..LineConfig::default() }
}

fn config(wiring: &Wiring, level: bool) -> LineConfig {
    let mut config = as_is(wiring);
    config.flags |= match wiring.bias {
        Bias::AsIs => LineFlags::empty(),
        Bias::Up => LineFlags::BIAS_PULL_UP,
        Bias::Down => LineFlags::BIAS_PULL_DOWN,
        Bias::Off => LineFlags::BIAS_DISABLED,
    };
    if wiring.is_output {
        config.flags |= LineFlags::OUTPUT;
        config.flags |= match wiring.drive {
            Drive::PushPull => LineFlags::empty(),
            Drive::OpenDrain => LineFlags::OPEN_DRAIN,
            Drive::OpenSource => LineFlags::OPEN_SOURCE,
        };
        let mut values = LineValues::default();
        values.set(0, level);
        config.add_values(&values);
        return config;
    }
    config.flags |= LineFlags::INPUT;
    if wiring.edges.rising {
        config.flags |= LineFlags::EDGE_RISING;
    }
    if wiring.edges.falling {
        config.flags |= LineFlags::EDGE_FALLING;
    }
    config.flags |= LineFlags::EVENT_CLOCK_REALTIME;
    if wiring.debounce > Duration::ZERO {
        config.add_debounce(u32::try_from(wiring.debounce.as_micros()).unwrap_or(u32::MAX), 1);
    }
    config
}

impl Line for Requested {
    fn level(&self) -> Result<bool, Fault> {
        let mut values = LineValues { mask: 1, ..LineValues::default() };
        v2::get_line_values(&self.file, &mut values).map_err(|error| fault(&error))?;
        let absent = || Fault::line(StatusCode::BadDeviceFailure, "the kernel gives no level");
        values.get(0).ok_or_else(absent)
    }

    fn set(&self, level: bool) -> Result<(), Fault> {
        let mut values = LineValues::default();
        values.set(0, level);
        v2::set_line_values(&self.file, &values).map_err(|error| fault(&error))
    }

    fn edges(&self, out: &mut Vec<Edge>) -> Result<(), Fault> {
        if !self.has_edges {
            return Ok(());
        }
        let size = LineEdgeEvent::u64_size();
        let mut buffer = vec![0_u64; size * AT_ONCE];
        // More than the kernel keeps are read in the next turn: a line that never rests must not hold up others.
        for _ in 0..KEPT as usize / AT_ONCE {
            let filled = match read_event(&self.file, &mut buffer) {
                Ok(filled) => filled,
                Err(error) if matches!(errno(&error), Some(Errno::AGAIN | Errno::INTR)) => return Ok(()),
                Err(error) => return Err(fault(&error)),
            };
            let events = buffer[..filled.min(buffer.len())].chunks_exact(size);
            for event in events.filter_map(|event| LineEdgeEvent::from_slice(event).ok()) {
                // Other kinds are of a newer kernel.
                if event.kind == RISING || event.kind == FALLING {
                    let time = UaTime::from_unix(Duration::from_nanos(event.timestamp_ns));
                    out.push(Edge { is_rising: event.kind == RISING, time, number: event.line_seqno });
                }
            }
            if filled < buffer.len() {
                return Ok(());
            }
        }
        Ok(())
    }
}
