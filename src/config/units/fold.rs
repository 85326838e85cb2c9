//! Spellings of one unit brought together: compatibility characters, dots, blanks, and words for letters.

/// One character for several, as NFKC has them; what a unit may hold and no more.
#[rustfmt::skip]
const COMPATIBLE: &str = "㎀pA ㎁nA ㎂μA ㎃mA ㎄kA ㎈cal ㎉kcal ㎊pF ㎋nF ㎌μF ㎍μg ㎎mg ㎏kg ㎐Hz ㎑kHz ㎒MHz ㎓GHz ㎔THz ㎕μl \
    ㎖ml ㎗dl ㎘kl ㎙fm ㎚nm ㎛μm ㎜mm ㎝cm ㎞km ㎟mm2 ㎠cm2 ㎡m2 ㎢km2 ㎣mm3 ㎤cm3 ㎥m3 ㎦km3 ㎧m/s ㎨m/s2 ㎩Pa ㎪kPa ㎫MPa ㎬GPa \
    ㎭rad ㎮rad/s ㎯rad/s2 ㎰ps ㎱ns ㎲μs ㎳ms ㎴pV ㎵nV ㎶μV ㎷mV ㎸kV ㎹MV ㎺pW ㎻nW ㎼μW ㎽mW ㎾kW ㎿MW ㏀kΩ ㏁MΩ ㏃Bq ㏄cc \
    ㏅cd ㏈dB ㏉Gy ㏊ha ㏌in ㏏kt ㏐lm ㏓lx ㏖mol ㏛sr ㏜Sv ㏝Wb ㏞V/m ㏟A/m ℃°C ℉°F";

/// The text with characters that mean the same made the same.
pub(crate) fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'µ' => out.push('μ'),
            '\u{2126}' => out.push('Ω'),
            '\u{212A}' => out.push('K'),
            '\u{212B}' => out.push('Å'),
            'º' | '˚' => out.push('°'),
            '⋅' | '∙' | '•' | '×' | '*' | '‧' => out.push('·'),
            '∕' | '⁄' | '÷' => out.push('/'),
            '⁻' | '−' | '–' => out.push('-'),
            '\u{A0}' | '\u{2009}' | '\u{202F}' => out.push(' '),
            '¹' => out.push('1'),
            '²' => out.push('2'),
            '³' => out.push('3'),
            '⁰' | '⁴'..='⁹' => out.push(digit(c, '⁰')),
            '₀'..='₉' => out.push(digit(c, '₀')),
            '\u{FF01}'..='\u{FF5E}' => out.extend(char::from_u32(u32::from(c) - 0xFEE0)),
            _ => match COMPATIBLE.split(' ').find_map(|pair| pair.strip_prefix(c)) {
                Some(text) => out.push_str(text),
                None => out.push(c),
            },
        }
    }
    out
}

fn digit(c: char, zero: char) -> char {
    char::from_digit(u32::from(c) - u32::from(zero), 10).unwrap_or(c)
}

/// A folded symbol without the signs that are left out at will: `kV·A` and `kVA`, `m^3` and `m3`.
pub(crate) fn loose(folded: &str) -> String {
    folded.replace("**", "").chars().filter(|c| !matches!(c, '·' | '.' | ' ' | '^')).collect()
}

/// A folded symbol with its letters as the table has them: `mL` as `ml`, `uS` as `μS`, `kOhm` as `kΩ`, `deg` as `°`.
pub(crate) fn spelled(folded: &str) -> String {
    let mut out = String::new();
    let mut rest = folded;
    while !rest.is_empty() {
        let letters = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
        if letters == 0 {
            let next = rest.chars().next().map_or(1, char::len_utf8);
            out.push_str(&rest[..next]);
            rest = &rest[next..];
            continue;
        }
        out.push_str(&letters_of(&rest[..letters]));
        rest = &rest[letters..];
    }
    out
}

fn letters_of(word: &str) -> String {
    match word {
        "L" | "mL" | "cL" | "dL" | "hL" | "kL" | "ML" | "μL" => return word.replace('L', "l"),
        "uL" => return "μl".into(),
        "deg" => return "°".into(),
        "degC" => return "°C".into(),
        "degF" => return "°F".into(),
        "sec" => return "s".into(),
        "hr" => return "h".into(),
        _ => {}
    }
    let ohms = word.strip_suffix("ohm").or_else(|| word.strip_suffix("Ohm")).or_else(|| word.strip_suffix("OHM"));
    if let Some(prefix) = ohms.filter(|prefix| prefix.chars().count() <= 1) {
        return format!("{}Ω", prefix.replace('u', "μ"));
    }
    match word.strip_prefix('u').filter(|rest| !rest.is_empty()) {
        Some(rest) => format!("μ{rest}"),
        None => word.to_owned(),
    }
}

/// A name in lower case and the singular, in British spelling, without a remark in brackets.
pub(crate) fn singular(name: &str) -> String {
    let name = name.split(" [").next().unwrap_or(name).to_lowercase();
    let words = name.split(' ').map(|word| {
        let word =
            word.strip_suffix('s').filter(|word| word.len() > 3 && !word.ends_with(['s', 'u', 'n'])).unwrap_or(word);
        let stem = |end: &str| word.strip_suffix(end).filter(|_| !word.ends_with("ameter"));
        match (stem("meter"), stem("liter")) {
            (Some(prefix), _) => format!("{prefix}metre"),
            (_, Some(prefix)) => format!("{prefix}litre"),
            _ => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The quantity that a name measures: its words without the SI prefixes.
pub(crate) fn stem(name: &str) -> String {
    const PREFIXES: [&str; 16] = [
        "kilo", "mega", "giga", "tera", "peta", "milli", "micro", "nano", "pico", "femto", "hecto", "deca", "deka",
        "deci", "centi", "exa",
    ];
    let name = singular(name);
    let words = name.split(' ').map(|word| {
        let short = PREFIXES.iter().find_map(|prefix| word.strip_prefix(prefix));
        short.filter(|short| short.len() > 2).unwrap_or(word)
    });
    words.collect::<Vec<_>>().join(" ")
}
