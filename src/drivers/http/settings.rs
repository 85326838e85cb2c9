//! The keys of a web server and of values in its answers; their doc comments are the user's reference.

use std::collections::BTreeMap;

use crate::drivers::file_text::FileText;
use crate::drivers::keys::point_keys;
use crate::drivers::payload::{ByteOrder, Encoding, Keys, PayloadKind, PayloadPoint, RawType};
use crate::drivers::reading::Part;
use crate::drivers::tls::TlsFiles;
use crate::model::Period;
use crate::value::Hidden;

/// A web server that answers with values.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct HttpSettings {
    /// Server, as http://10.0.0.7 or https://host:8443/api. Paths are added to it.
    #[schemars(extend("x-also" = ["host", "address", "endpoint", "base_url"], "x-secret" = true))]
    pub url: String,
    /// The url came from outside of the cell file: no message may show it.
    #[serde(skip)]
    #[schemars(skip)]
    pub hides_url: bool,
    /// Certificates of the authorities that are trusted with https, as a PEM file (default: the system's).
    #[serde(default)]
    #[schemars(extend("x-also" = ["cafile", "ca_file", "ca_cert", "ca_certs"], "x-file" = "pem"))]
    pub ca: Option<FileText>,
    /// Own certificate for https, as a PEM file (default none).
    #[serde(default)]
    #[schemars(extend("x-also" = ["cert", "certfile", "client_cert"], "x-file" = "pem"))]
    pub certificate: Option<FileText>,
    /// Private key of the certificate, as a PEM file (default none).
    #[serde(default)]
    #[schemars(extend("x-also" = ["keyfile", "client_key"], "x-file" = "key"))]
    pub key: Option<FileText>,
    /// User name, for Basic and Digest (default none).
    #[serde(default)]
    #[schemars(extend("x-also" = ["username", "login"], "x-secret" = true))]
    pub user: Option<String>,
    /// Password, as `${env:NAME}` or `${file:PATH}` (default none).
    #[serde(default)]
    #[schemars(extend("x-also" = ["pass", "passwd"], "x-secret" = true, "x-password" = true))]
    pub password: Option<Hidden<String>>,
    /// Headers of every request: `{ Authorization: "Bearer ${file:token}" }` (default none).
    #[serde(default)]
    #[schemars(extend("x-headers" = true))]
    pub headers: BTreeMap<String, Hidden<String>>,
    /// Requests other than a GET of a path, by the names that addresses use (default none).
    #[serde(default)]
    pub requests: BTreeMap<String, HttpRequest>,
}

/// A request that addresses name.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct HttpRequest {
    /// Path below the url, with its query: `/status?unit=3`.
    pub path: String,
    /// GET, POST or PUT (default GET, POST with `body`).
    #[serde(default)]
    pub method: Option<Method>,
    /// Text that the request sends (default none).
    #[serde(default)]
    pub body: Option<String>,
    /// Headers of this request, in addition to those of the connection (default none).
    #[serde(default)]
    pub headers: BTreeMap<String, Hidden<String>>,
    /// Period of its tags that have none of their own (default: the tags').
    #[serde(default)]
    pub poll: Option<Period>,
}

/// Method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Method {
    Get,
    Post,
    Put,
}

/// Place and form of a value in answers.
#[derive(Debug, Clone, PartialEq, Default, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct HttpPoint {
    /// Path of the value in the answer, as a JSON Pointer: `/temps/0` (default: the whole answer).
    #[serde(default)]
    #[schemars(extend("x-also" = ["path", "json_path", "pointer"]))]
    pub json: Option<String>,
    /// Path of the source time: RFC 3339, or a number of s, ms, us or ns, told apart by its size (default: time of arrival).
    #[serde(default)]
    #[schemars(extend("x-also" = ["timestamp", "ts"]))]
    pub time: Option<String>,
    /// Path of a quality flag. The name of a StatusCode is that code; false, null, 0 to 63 and texts that begin with `bad` make
    /// the tag BadSensorFailure, 64 to 191 and `uncertain` Uncertain; a number with the bits of a StatusCode is Bad or Uncertain
    /// as these say; all else is Good (default none).
    #[serde(default)]
    #[schemars(extend("x-also" = ["status", "valid"]))]
    pub quality: Option<String>,
    /// Form of the answer: json, text, raw or csv (default: json with `json`, `time`, `quality` or an array; raw with
    /// `raw_type`; else text).
    #[serde(default)]
    #[schemars(extend("x-also" = ["format"]))]
    pub payload: Option<PayloadKind>,
    /// Type in the bytes: int8 to float64, text or bytes (default none).
    #[serde(default)]
    pub raw_type: Option<RawType>,
    /// First byte of the value, for `raw_type` (default 0).
    #[serde(default)]
    #[schemars(range(max = 65535), extend("x-unit" = "bytes", "x-also" = ["offset"]))]
    pub byte: Option<u16>,
    /// Order of bytes, for `raw_type`: high-first or low-first (default high-first).
    #[serde(default)]
    #[schemars(extend("x-also" = ["endianness"]))]
    pub byte_order: Option<ByteOrder>,
    /// Column of a CSV answer, counted from 1; the last line counts (default none).
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    pub column: Option<u16>,
    /// The text found means bytes: hex or base64; they are read with `raw_type` (default none).
    #[serde(default)]
    pub encoding: Option<Encoding>,
    /// NaN and the infinities are values; without it they turn the tag BadSensorFailure. For float32 and float64.
    #[serde(default)]
    pub nan: bool,
    /// Method and path of a write: `PUT /api/setpoint` (default none).
    #[serde(default)]
    #[schemars(extend("x-also" = ["write_path", "command"]))]
    pub publish: Option<String>,
    /// Body of a write: `{value}` is the value as JSON, or plain with `payload: text`; `{time}` is the time as RFC 3339;
    /// other braces stay (default `{value}`).
    #[serde(default)]
    #[schemars(extend("x-also" = ["write_template"]))]
    pub body: Option<String>,
}

#[rustfmt::skip]
point_keys!(HttpPoint {
    json, time, quality, payload, raw_type, byte, byte_order, column, encoding, nan, publish, body,
});

impl HttpSettings {
    pub(super) fn tls(&self) -> TlsFiles {
        TlsFiles { ca: self.ca.clone(), certificate: self.certificate.clone(), key: self.key.clone() }
    }
}

impl Method {
    pub(super) fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
        }
    }
}

impl PayloadPoint for HttpPoint {
    fn payload_keys(&self) -> Keys {
        Keys {
            json: self.json.clone(),
            time: self.time.clone(),
            quality: self.quality.clone(),
            payload: self.payload,
            raw_type: self.raw_type,
            byte: self.byte,
            byte_order: self.byte_order,
            column: self.column,
            encoding: self.encoding,
            nan: self.nan,
            body: self.body.clone(),
        }
    }

    fn at(&self, pointer: String) -> HttpPoint {
        HttpPoint {
            json: Some(pointer),
            time: None,
            quality: None,
            payload: None,
            publish: None,
            body: None,
            ..self.clone()
        }
    }
}

impl HttpPoint {
    /// Leaves out a key that was refused.
    pub(super) fn leave_out(&mut self, part: Part) -> bool {
        let Part::Key(key) = part else { return false };
        match key {
            "json" => self.json = None,
            "time" => self.time = None,
            "quality" => self.quality = None,
            "payload" => (self.payload, self.column) = (None, None),
            "raw_type" => {
                (self.raw_type, self.byte, self.byte_order, self.encoding) = (None, None, None, None);
                (self.nan, self.payload) = (false, None);
            }
            "byte" => self.byte = None,
            "byte_order" => self.byte_order = None,
            "column" => self.column = None,
            "encoding" => self.encoding = None,
            "nan" => self.nan = false,
            "publish" => self.publish = self.publish.take().map(|_| "PUT /".to_owned()),
            "body" => self.body = None,
            _ => return false,
        }
        true
    }
}
