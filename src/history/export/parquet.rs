//! Parquet: one row a sample, for analysis.

use std::io::Write;
use std::sync::Arc;

use ::parquet::basic::Compression;
use ::parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::parser::parse_message_type;

use super::{ExportError, each_page};
use crate::history::{ArchiveId, ArchiveSpec, Historian, Span};
use crate::value::{Sample, UNIX_EPOCH_NANOS, UaTime, Value, value_to_text};

/// Times are nanoseconds since 1970; `number` is null for what is no number, `text` for what a double holds exactly.
const SCHEMA: &str = "message history {
    REQUIRED BYTE_ARRAY namespace (UTF8);
    REQUIRED BYTE_ARRAY identifier (UTF8);
    REQUIRED INT64 source_time (TIMESTAMP(NANOS,true));
    REQUIRED INT64 server_time (TIMESTAMP(NANOS,true));
    REQUIRED INT32 status (INTEGER(32,false));
    OPTIONAL DOUBLE number;
    OPTIONAL BYTE_ARRAY text (UTF8);
}";

/// Rows of a row group.
const GROUP: usize = 1_000_000;

/// Writes each archive's samples of a span; answers their number.
pub(crate) fn export_parquet(
    historian: &dyn Historian,
    archives: &[(ArchiveId, ArchiveSpec)],
    span: Span,
    out: impl Write + Send,
) -> Result<u64, ExportError> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut file = SerializedFileWriter::new(out, schema, Arc::new(properties))?;
    let mut rows = Rows::default();
    let mut count = 0;
    for (archive, spec) in archives {
        let name = Name {
            namespace: ByteArray::from(spec.namespace.as_str()),
            identifier: ByteArray::from(spec.identifier.as_str()),
        };
        count += each_page(historian, *archive, span, &mut |samples| {
            for sample in samples {
                rows.push(&name, sample);
            }
            if rows.source_times.len() >= GROUP {
                rows.write(file.next_row_group()?)?;
            }
            Ok(())
        })?;
    }
    if !rows.source_times.is_empty() {
        rows.write(file.next_row_group()?)?;
    }
    file.close()?;
    Ok(count)
}

#[derive(Default)]
struct Rows {
    namespaces: Vec<ByteArray>,
    identifiers: Vec<ByteArray>,
    source_times: Vec<i64>,
    server_times: Vec<i64>,
    statuses: Vec<i32>,
    numbers: Vec<f64>,
    number_levels: Vec<i16>,
    texts: Vec<ByteArray>,
    text_levels: Vec<i16>,
}

/// Nanoseconds since 1970, held at the ends of what 64 bits take (1677 and 2262).
fn nanos(time: UaTime) -> i64 {
    let nanos = i128::from(time.0) * 100 - UNIX_EPOCH_NANOS;
    i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

/// The node of an archive.
struct Name {
    namespace: ByteArray,
    identifier: ByteArray,
}

impl Rows {
    fn push(&mut self, name: &Name, sample: &Sample) {
        self.namespaces.push(name.namespace.clone());
        self.identifiers.push(name.identifier.clone());
        self.source_times.push(nanos(sample.source_time));
        self.server_times.push(nanos(sample.server_time));
        self.statuses.push(sample.status.bits().cast_signed());
        let number = sample.value.as_f64();
        // 64-bit integers beyond 2^53 are not all doubles.
        let is_exact = !matches!(sample.value, Value::Int64(_) | Value::UInt64(_));
        self.number_levels.push(i16::from(number.is_some()));
        self.numbers.extend(number);
        let text = !sample.value.is_null() && (number.is_none() || !is_exact);
        self.text_levels.push(i16::from(text));
        if text {
            self.texts.push(ByteArray::from(value_to_text(&sample.value).as_str()));
        }
    }

    fn write<W: Write + Send>(&mut self, mut group: SerializedRowGroupWriter<'_, W>) -> Result<(), ExportError> {
        let rows = std::mem::take(self);
        macro_rules! column {
            ($kind:ty, $values:expr, $levels:expr) => {
                if let Some(mut column) = group.next_column()? {
                    column.typed::<$kind>().write_batch($values, $levels, None)?;
                    column.close()?;
                }
            };
        }
        column!(ByteArrayType, &rows.namespaces, None);
        column!(ByteArrayType, &rows.identifiers, None);
        column!(Int64Type, &rows.source_times, None);
        column!(Int64Type, &rows.server_times, None);
        column!(Int32Type, &rows.statuses, None);
        column!(DoubleType, &rows.numbers, Some(&rows.number_levels));
        column!(ByteArrayType, &rows.texts, Some(&rows.text_levels));
        group.close()?;
        Ok(())
    }
}
