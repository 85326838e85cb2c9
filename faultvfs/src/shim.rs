//! The table of C functions: each asks the disk whether to fail, and hands on to the system's own VFS.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::mem::size_of;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, Ordering};

use rusqlite::ffi;

use crate::disk::{self, Fault, Operation};

static REAL: AtomicPtr<ffi::sqlite3_vfs> = AtomicPtr::new(ptr::null_mut());

/// An open file: this, and behind it the memory of the real one.
#[repr(C)]
struct Shim {
    base: ffi::sqlite3_file,
    /// Owned; null for a temporary file.
    path: *mut PathBuf,
}

/// Puts the failing disk before the system's own, for every connection that is opened from now on.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: SQLite is initialized by the first find; both tables live for ever.
        unsafe {
            ffi::sqlite3_initialize();
            let real = ffi::sqlite3_vfs_find(ptr::null());
            assert!(!real.is_null(), "there is a VFS");
            REAL.store(real, Ordering::Release);
            let mut vfs = ptr::read(real);
            vfs.szOsFile += c_int::try_from(size_of::<Shim>()).expect("a small struct");
            vfs.zName = c"fault".as_ptr();
            vfs.pNext = ptr::null_mut();
            vfs.xOpen = Some(open);
            vfs.xDelete = Some(delete);
            let vfs = Box::leak(Box::new(vfs));
            assert_eq!(ffi::sqlite3_vfs_register(vfs, 1), ffi::SQLITE_OK);
        }
    });
}

fn code(fault: Fault, broken: c_int) -> c_int {
    match fault {
        Fault::Full => ffi::SQLITE_FULL,
        Fault::Broken | Fault::Torn => broken,
    }
}

/// The real file behind a shim.
unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: `open` laid the real file right behind the shim.
    unsafe { file.cast::<Shim>().add(1).cast() }
}

/// Calls one of the real file's methods.
macro_rules! hand_on {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        // SAFETY: the real VFS opened this file, so its methods are there until it is closed.
        unsafe {
            let real = real($file);
            (*(*real).pMethods).$method.expect(stringify!($method))(real $(, $argument)*)
        }
    }};
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite hands over memory of `szOsFile` bytes; the name is null or a C string.
    unsafe {
        (*file).pMethods = ptr::null();
        if let Some(fault) = disk::call(Operation::Open) {
            return code(fault, ffi::SQLITE_CANTOPEN);
        }
        let vfs = REAL.load(Ordering::Acquire);
        let behind = real(file);
        (*behind).pMethods = ptr::null();
        let opened = (*vfs).xOpen.expect("xOpen")(vfs, name, behind, flags, out);
        if opened != ffi::SQLITE_OK {
            return opened;
        }
        let shim = file.cast::<Shim>();
        (*shim).path = if name.is_null() {
            ptr::null_mut()
        } else {
            let path = PathBuf::from(OsStr::from_bytes(CStr::from_ptr(name).to_bytes()));
            Box::into_raw(Box::new(path))
        };
        (*shim).base.pMethods = &raw const METHODS;
        ffi::SQLITE_OK
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    if let Some(fault) = disk::call(Operation::Write) {
        return code(fault, ffi::SQLITE_IOERR_DELETE);
    }
    // SAFETY: the name is a C string.
    unsafe {
        disk::deleted(&PathBuf::from(OsStr::from_bytes(CStr::from_ptr(name).to_bytes())));
        let vfs = REAL.load(Ordering::Acquire);
        (*vfs).xDelete.expect("xDelete")(vfs, name, sync)
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let closed = hand_on!(file, xClose);
    // SAFETY: `open` made the path, and a file is closed once.
    unsafe {
        let shim = file.cast::<Shim>();
        if !(*shim).path.is_null() {
            drop(Box::from_raw((*shim).path));
            (*shim).path = ptr::null_mut();
        }
    }
    closed
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, into: *mut c_void, count: c_int, at: i64) -> c_int {
    match disk::call(Operation::Read) {
        Some(fault) => code(fault, ffi::SQLITE_IOERR_READ),
        None => hand_on!(file, xRead, into, count, at),
    }
}

/// Remembers what stands in a range of the file.
fn remember(file: *mut ffi::sqlite3_file, at: i64, count: i64) {
    let Some(path) = path_of(file) else { return };
    let mut length = 0;
    hand_on!(file, xFileSize, &raw mut length);
    let there = (length - at).clamp(0, count);
    let mut old = vec![0u8; usize::try_from(there).unwrap_or(0)];
    if !old.is_empty() {
        hand_on!(file, xRead, old.as_mut_ptr().cast(), c_int::try_from(there).unwrap_or(0), at);
    }
    disk::changing(&path, at.cast_unsigned(), old, count.cast_unsigned(), length.cast_unsigned());
}

fn path_of(file: *mut ffi::sqlite3_file) -> Option<PathBuf> {
    // SAFETY: `open` made the path, and `close` alone frees it.
    unsafe { (*file.cast::<Shim>()).path.as_ref().cloned() }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, count: c_int, at: i64) -> c_int {
    let fault = disk::call(Operation::Write);
    if matches!(fault, None | Some(Fault::Torn)) {
        let count = if fault.is_some() { count / 2 } else { count };
        remember(file, at, i64::from(count));
        let written = hand_on!(file, xWrite, from, count, at);
        if fault.is_none() {
            return written;
        }
    }
    fault.map_or(ffi::SQLITE_OK, |fault| code(fault, ffi::SQLITE_IOERR_WRITE))
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    if let Some(fault) = disk::call(Operation::Write) {
        return code(fault, ffi::SQLITE_IOERR_TRUNCATE);
    }
    let mut length = 0;
    hand_on!(file, xFileSize, &raw mut length);
    if length > size {
        remember(file, size, length - size);
    }
    hand_on!(file, xTruncate, size)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    let fault = disk::call(Operation::Sync);
    if let Some(path) = path_of(file) {
        disk::synced(&path, fault.is_none());
    }
    // The system's own VFS has one code for every sync that fails.
    fault.map_or(ffi::SQLITE_OK, |_| ffi::SQLITE_IOERR_FSYNC)
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    hand_on!(file, xFileSize, size)
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    hand_on!(file, xLock, level)
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    hand_on!(file, xUnlock, level)
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    hand_on!(file, xCheckReservedLock, out)
}

unsafe extern "C" fn file_control(file: *mut ffi::sqlite3_file, operation: c_int, argument: *mut c_void) -> c_int {
    hand_on!(file, xFileControl, operation, argument)
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    hand_on!(file, xSectorSize)
}

/// None of the promises that a real disk may make, as safe-append or power-safe overwrite.
unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    0
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    hand_on!(file, xShmMap, page, size, extend, out)
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    hand_on!(file, xShmLock, offset, count, flags)
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    hand_on!(file, xShmBarrier);
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    hand_on!(file, xShmUnmap, delete)
}

/// Version 2: without memory-mapped reads, which could not be made to fail.
static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::{Rule, clear, power_cut, power_on, set};

    fn count(connection: &Connection) -> rusqlite::Result<i64> {
        connection.query_row("select count(*) from t", [], |row| row.get(0))
    }

    #[test]
    fn a_power_cut_keeps_what_was_committed_and_takes_the_rest() {
        install();
        let dir = std::env::temp_dir().join(format!("faultvfs-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder");
        let path = dir.join("t.db");
        {
            let connection = Connection::open(&path).expect("opened");
            connection
                .execute_batch(
                    "pragma journal_mode=wal; pragma synchronous=full; create table t(x); insert into t values (1)",
                )
                .expect("made");
            connection.execute("insert into t values (2)", []).expect("durable");
            set(Operation::Sync, Some(Rule { after: 0, times: 1, fault: Fault::Broken }));
            connection.execute("insert into t values (3)", []).expect_err("the sync fails");
            clear();
            set(Operation::Write, Some(Rule { after: 0, times: 1, fault: Fault::Full }));
            let full = connection.execute("insert into t values (4)", []).expect_err("the disk is full");
            assert_eq!(full.sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull));
            clear();
            power_cut(&dir).expect("cut");
            count(&connection).expect_err("nothing answers");
        }
        power_on();
        drop(std::fs::remove_file(dir.join("t.db-shm")));
        let connection = Connection::open(&path).expect("opened again");
        assert_eq!(count(&connection).expect("readable"), 2);
        drop(connection);
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
