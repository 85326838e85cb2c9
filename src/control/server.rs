//! The server's side: a socket that is there as long as the server runs.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{DEADLINE, MOST_ASKED, MOST_ASKERS, Request, Response, socket_of};

use crate::logging;

/// Answers a request.
pub(crate) type Answer = Arc<dyn Fn(Request) -> Pin<Box<dyn Future<Output = Response> + Send>> + Send + Sync>;

/// The open socket; its file goes when this does.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Opens the socket in a state folder that this process has locked: a socket that lies there is left over.
    pub(crate) fn open(state_dir: &Path) -> io::Result<Listener> {
        let path = socket_of(state_dir);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = UnixListener::bind(&path)?;
        let listener = Listener { socket, path };
        fs::set_permissions(&listener.path, fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    }

    /// Answers until it is dropped.
    pub(crate) async fn serve(self, answer: Answer) {
        let mut asking = JoinSet::new();
        loop {
            while asking.len() >= MOST_ASKERS {
                asking.join_next().await;
            }
            let stream = match self.socket.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    let path = self.path.display();
                    logging::limited(log::Level::Warn, "control socket", None, format_args!("{path}: {error}"));
                    // As when no file descriptor is left: not at once again.
                    tokio::time::sleep(DEADLINE).await;
                    continue;
                }
            };
            let (answer, path) = (Arc::clone(&answer), self.path.clone());
            asking.spawn(async move {
                if let Err(error) = exchange(stream, &answer).await {
                    log::debug!("{}: {error}", path.display());
                }
            });
            while asking.try_join_next().is_some() {}
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            log::debug!("{}: {error}", self.path.display());
        }
    }
}

async fn exchange(mut stream: UnixStream, answer: &Answer) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut line = Vec::new();
    let asked = timeout(DEADLINE, BufReader::new(read.take(MOST_ASKED)).read_until(b'\n', &mut line)).await;
    asked.map_err(|_| io::Error::other("who asked was too slow"))??;
    let response = match serde_json::from_slice(&line) {
        Ok(request) => answer(request).await,
        Err(error) => Response::Error(format!("this server does not know the request: {error}")),
    };
    let mut answered = serde_json::to_vec(&response)?;
    answered.push(b'\n');
    let told = async {
        write.write_all(&answered).await?;
        write.shutdown().await
    };
    timeout(DEADLINE, told).await.map_err(|_| io::Error::other("who asked does not listen"))?
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::control::{AskError, ask};

    fn refuse() -> Answer {
        Arc::new(|_| Box::pin(async { Response::Error("not today".into()) }))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_socket_answers_its_owner_alone_and_goes_with_the_server() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(matches!(ask(dir.path(), &Request::Status), Err(AskError::NoServer(_))));
        let left_over = std::os::unix::net::UnixListener::bind(dir.path().join("control")).expect("bound");
        drop(left_over);
        assert!(matches!(ask(dir.path(), &Request::Status), Err(AskError::NoServer(_))));

        let listener = Listener::open(dir.path()).expect("what was left over is replaced");
        let mode = fs::metadata(dir.path().join("control")).expect("a socket").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let serving = tokio::spawn(listener.serve(refuse()));
        let path = dir.path().to_owned();
        let asked = tokio::task::spawn_blocking(move || ask(&path, &Request::Status)).await.expect("no panic");
        assert!(matches!(asked, Err(AskError::Refused(text)) if text == "not today"));

        for (sent, wanted) in [
            (b"{\"verb\":\"dance\"}\n".to_vec(), "does not know the request"),
            (b"\xff\xfe\n".to_vec(), "does not know the request"),
            (vec![b'x'; 5_000], "does not know the request"),
        ] {
            let path = dir.path().join("control");
            let answered = tokio::task::spawn_blocking(move || {
                let mut stream = std::os::unix::net::UnixStream::connect(path).expect("connected");
                stream.write_all(&sent).expect("sent");
                let mut text = Vec::new();
                // Bytes that were sent in excess reset the connection after the answer.
                let mut bytes = [0; 1_024];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    text.extend_from_slice(&bytes[..count]);
                }
                String::from_utf8_lossy(&text).into_owned()
            });
            let answered = answered.await.expect("no panic");
            assert!(answered.contains(wanted), "{answered}");
        }
        serving.abort();
        assert!(serving.await.is_err_and(|error| error.is_cancelled()));
        assert!(!dir.path().join("control").exists());
    }
}
