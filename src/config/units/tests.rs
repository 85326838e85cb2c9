//! Spellings of units, and what no spelling may be taken for.

use super::*;

/// Each spelling with the UNECE code that it means.
#[rustfmt::skip]
const SPELLINGS: [(&str, &[&str]); 60] = [
    ("CEL", &["°C", "CEL", "degree Celsius", "degC", "deg C", "℃", "ºC", "˚C", "C", "Celsius"]),
    ("FAH", &["°F", "℉", "degF"]), ("KEL", &["K", "\u{212A}", "kelvin"]),
    ("P1", &["%", "percent", "％", "%RH"]), ("59", &["ppm", "PPM"]), ("Q30", &["pH", "PH"]),
    ("RPM", &["rpm", "RPM", "r/min", "rev/min", "1/min", "U/min", "Rpm", "revolutions per minute"]),
    ("C94", &["min⁻¹", "min-1", "min^-1"]), ("HTZ", &["Hz", "HZ", "hz", "hertz"]),
    ("KWT", &["kW", "KW", "kw", "㎾", "kilowatt", "KWT"]), ("MAW", &["MW", "megawatt"]), ("C31", &["mW"]), ("WTT", &["W", "watts"]),
    ("WHR", &["Wh", "W·h", "W.h", "WH", "watt hour"]), ("KWH", &["kWh", "KWH", "kWH", "kW h", "kilowatt hours"]),
    ("MWH", &["MWh"]), ("GWH", &["GWh"]), ("D46", &["VA", "V·A", "V.A", "V*A", "va"]), ("KVA", &["kVA", "KVA", "kva"]),
    ("MVA", &["MVA", "MV·A"]), ("D44", &["var", "VAr", "VAR"]), ("KVR", &["kvar", "kVAr", "Kvar"]), ("MAR", &["Mvar", "MVAr"]),
    ("K3", &["kvarh", "kVArh"]), ("AMP", &["A", "amp", "ampere"]), ("4K", &["mA"]), ("AMH", &["Ah", "A·h"]), ("E09", &["mAh"]),
    ("VLT", &["V", "VAC", "volt"]), ("2Z", &["mV"]), ("KVT", &["kV", "KV"]),
    ("OHM", &["Ω", "\u{2126}", "ohm", "Ohm", "ohms"]), ("B49", &["kΩ", "k\u{2126}", "kOhm", "kohm"]), ("B75", &["MΩ", "MOhm"]),
    ("PAL", &["Pa"]), ("KPA", &["kPa", "KPA"]), ("A97", &["hPa", "HPA"]), ("MPA", &["MPa", "MPA"]), ("BAR", &["bar", "Bar", "BAR"]),
    ("MBR", &["mbar", "mBar"]), ("PS", &["psi", "PSI", "Psi", "lbf/in²", "lbf/in2"]),
    ("MTQ", &["m³", "m3", "m^3", "㎥", "cubic meter", "cubic metres"]), ("MTK", &["m²", "m2", "㎡"]),
    ("MQH", &["m³/h", "m3/h", "M3/H", "m^3/h", "m3/hr", "cubic metre per hour"]), ("Q40", &["Nm³/h", "Nm3/h"]),
    ("L2", &["l/min", "L/min", "lpm"]), ("E32", &["l/h", "L/h"]), ("LTR", &["l", "L", "liter", "litres"]), ("MLT", &["ml", "mL", "㎖"]),
    ("KMQ", &["kg/m³", "kg/m3", "kg / m3"]), ("M1", &["mg/l", "mg/L"]), ("G42", &["µS/cm", "μS/cm", "uS/cm"]),
    ("E93", &["kg/h", "KG/H", "kg/hr"]), ("KGM", &["kg", "KG", "Kg"]), ("4H", &["µm", "μm", "um"]), ("KMH", &["km/h", "kph", "KM/H"]),
    ("NU", &["Nm", "N·m", "N.m", "N m"]), ("MSK", &["m/s²", "m/s2"]), ("SEC", &["s", "sec", "seconds"]), ("HUR", &["h", "hr", "hours"]),
];

#[test]
fn each_spelling_is_the_unit_that_people_mean_by_it() {
    let mut wrong = Vec::new();
    for (code, texts) in SPELLINGS {
        let id = code.bytes().fold(0, |id, byte| id << 8 | i32::from(byte));
        for text in texts {
            let found = find(text);
            if found.as_ref().map(|unit| unit.id) != Some(id) {
                wrong.push(format!("{text}: wanted {code}, found {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_symbol_and_every_code_that_is_no_symbol_leads_to_its_own_line() {
    let mut codes = 0;
    for line in TABLE.lines() {
        let (code, symbol, _) = columns(line);
        let found = line_of(symbol).map(columns);
        assert!(
            found.is_some_and(
                |(other, same, _)| fold(same) == fold(symbol) || ALIASES.iter().any(|(of, _)| *of == other)
            ),
            "{symbol}: {found:?}"
        );
        codes += usize::from(line_of(code) == Some(line));
    }
    assert!(codes * 100 > TABLE.lines().count() * 95, "only {codes} codes are read as codes");
}

#[test]
fn what_is_no_unit_is_not_taken_for_another_one() {
    for text in ["parsnips", "", "kgg", "mw", "xyz", "furlong per fortnight", "kW/", "barg"] {
        assert_eq!(find(text), None, "{text}");
    }
}

#[test]
fn a_hint_stays_within_the_dimension() {
    for (text, wanted) in [
        ("kilogramm", "did you mean `kilogram`?"),
        ("degree Celcius", "did you mean `degree Celsius`?"),
        ("killowatt hour", "did you mean `kilowatt hour`?"),
        ("mw", "did you mean `MW` or `mW`?"),
        // A metre and a litre are as near.
        ("kilomitre", ""),
        // One letter away lie other quantities.
        ("kWk", ""),
        ("MJ/h", ""),
        ("barg", ""),
        ("parsnips", ""),
        ("", ""),
    ] {
        assert_eq!(hint(text), wanted, "{text}");
    }
}

#[test]
fn the_symbol_is_the_tables_own_unless_that_is_wrong() {
    for (text, symbol) in [("rpm", "r/min"), ("kVA", "kV·A"), ("MVAr", "Mvar"), ("kvar", "kvar"), ("KW", "kW")] {
        assert_eq!(find(text).map(|unit| unit.symbol).as_deref(), Some(symbol), "{text}");
    }
}

#[test]
fn the_letter_case_of_a_prefix_is_no_matter_of_taste() {
    for text in ["mWh", "mvar", "mVAr", "mVAR"] {
        let found = super::find(text);
        assert!(found.as_ref().is_none_or(|unit| !unit.name.to_lowercase().starts_with("mega")), "{text}: {found:?}");
    }
}
