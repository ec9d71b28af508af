//! The member names that errors use, for all frameworks and languages. They are compared without regard to case, `_`, `-`, `@` and `$`, so
//! that `errorMessage`, `error_message` and `ErrorMessage` are one name. Knows names, and no structure of a body.

use serde_json::{Map, Value};

/// Names of the message, best first.
#[rustfmt::skip]
pub(super) const MESSAGE: &[&str] = &[
    "submsg", "message", "msg", "errordescription", "errormessage", "errordesc", "errmsg", "resultmsg", "resultmessage",
    "retmsg", "returnmsg", "returnmessage", "usermessage", "displaymessage", "clientmessage", "localizedmessage",
    "detail", "details", "description", "reason", "errorsummary", "errordetail", "errordetails", "errortext",
    "errorreason", "developermessage", "exceptionmessage", "faultstring", "text", "diagnostics", "explanation",
    "summary", "error", "errors", "errormessages", "title", "statusmessage", "statusdescription", "nonfielderrors",
    "all", "schema", "formerrors", "base", "globalerrors", "general", "longmessage", "info", "failurereason",
    "failure", "problem", "fault", "statustext", "content", "status", "err", "errmessage", "messagetext",
    "helpmessage", "messagetranslations", "translations", "localizedmessages", "rspmsg", "msg1", "exceptiontext", "serviceexception", "mensaje", "mensagem",
    "nachricht", "meldung", "fehlertext", "fehlermeldung", "beschreibung", "descripcion", "descricao", "messaggio",
    "descrizione", "foutmelding", "bericht", "omschrijving", "komunikat", "wiadomosc", "opis", "mesaj", "hatamesaji",
    "aciklama", "libelle", "messageerreur", "erreur", "motivo", "motif", "grund", "메시지", "오류메시지", "에러메시지", "결과메시지",
    "내용", "メッセージ", "エラーメッセージ", "結果メッセージ", "消息", "错误信息", "错误消息", "错误描述", "描述", "訊息",
];
/// Names of the machine code, best first.
#[rustfmt::skip]
pub(super) const CODE: &[&str] = &[
    "code", "errorcode", "errcode", "resultcode", "retcode", "returncode", "faultcode", "messagecode", "errorkey",
    "messagekey", "subcode", "error", "err", "reason", "status", "name", "key", "errno", "slug", "id",
    "title", "errorid", "errornum", "errortag", "scimtype", "codigo", "codigoerror", "codigoerro", "codeerreur",
    "coderetour", "fehlercode", "fehlernummer", "codiceerrore", "codice", "foutcode", "kod", "kodbledu", "hatakodu",
    "rspcd", "rtcd", "rsltcd", "errcd", "msgcd", "resultcd", "코드", "오류코드", "에러코드", "결과코드", "コード", "エラーコード", "結果コード",
    "错误码", "错误代码", "代码", "canonicalname",
];
/// Names of the code that apply if no other name has one.
pub(super) const FALLBACK_CODE: &[&str] = &["errortype", "type"];
/// Names of objects that wrap the error. Their members take precedence over those of the object around them.
#[rustfmt::skip]
pub(super) const WRAPPER: &[&str] = &[
    "error", "errors", "fault", "exception", "err", "failure", "response", "responsestatus", "status", "problem",
    "apierror", "errorresponse", "servicefault", "zoderror", "header", "head", "dataheader", "detailederror",
    "errorinfo", "info", "fehler", "erreur", "erro", "fout", "errore", "blad", "hata", "오류", "에러", "エラー", "错误",
    "apifault", "requesterror", "serviceexception", "responseerror",
];
/// Names of objects and lists with details of the error, for parts that the error itself does not have.
#[rustfmt::skip]
pub(super) const CONTEXT: &[&str] = &[
    "detail", "details", "extensions", "data", "result", "meta", "issue", "issues", "extra", "embedded", "body",
    "payload", "messages", "message", "errors", "errorlist", "reasons", "contextinfo", "extendederror", "tppmessages",
];
/// Names that exclude that an object is a map of field errors.
#[rustfmt::skip]
pub(super) const RESERVED: &[&str] = &[
    "message", "messages", "msg", "error", "errors", "errormessage", "errormessages", "detail", "details", "code",
    "statuscode", "data", "result", "results", "meta", "links", "trace", "stack", "warnings", "exception", "success",
    "ok", "jsonrpc", "timestamp",
];
/// Names of members that are never a field if their value is a string.
#[rustfmt::skip]
pub(super) const NEVER_A_FIELD: &[&str] = &[
    "message", "msg", "detail", "error", "code", "errorcode", "status", "statuscode", "errortype",
];
/// Names of the field errors.
#[rustfmt::skip]
pub(super) const FIELDS: &[&str] = &[
    "fields", "fielderrors", "fieldviolations", "modelstate", "errors", "violations", "constraintviolations",
    "invalidparams", "validationerrors", "validationmessages", "parameterviolations", "propertyviolations", "issues",
    "failures", "details", "detail", "suberrors", "invalidfields", "errordetails", "errormessages", "messages",
    "message", "params", "parameters", "validation", "extra", "errorcauses", "causes", "problems", "humanized",
    "formerrors", "errorlist", "paramerrors", "inner", "issue", "error", "data", "result", "properties",
    "contextinfo", "nested", "fieldlist", "fielderrorlist", "errores", "erros", "erreurs", "fehler", "feldfehler",
    "fehlerliste", "errori", "fouten", "bledy", "violacoes", "violaciones", "verletzungen", "오류목록", "필드오류", "項目エラー",
    "字段错误", "tppmessages",
];
/// Names of the path of a field error, best first.
#[rustfmt::skip]
pub(super) const PATH: &[&str] = &[
    "field", "fieldname", "loc", "path", "property", "propertypath", "propertyname", "pointer", "instancepath",
    "jsonpath", "jsonpointer", "datapath", "param", "parameter", "paramname", "parametername", "attribute", "member",
    "membername", "membernames", "members", "attr", "argument", "location", "source", "name", "key", "target",
    "expression", "element", "column", "fields", "in", "fieldpath", "argumentname", "errorpath", "champ", "campo",
    "feld", "veld", "pole", "alan", "item", "propriedade", "propiedad", "필드", "항목", "項目", "フィールド", "字段", "params",
];
/// Names of the message of a field error, best first.
#[rustfmt::skip]
pub(super) const TEXT: &[&str] = &[
    "message", "msg", "detail", "defaultmessage", "description", "errormessage", "reason", "text", "errorsummary",
    "title", "error", "errors", "messages", "summary", "diagnostics", "constraint", "helpmessage", "issue", "details",
    "messagetext", "mensaje", "mensagem", "meldung", "fehlermeldung", "nachricht", "razao", "motivo", "libelle",
    "messaggio", "melding", "komunikat", "mesaj", "메시지", "メッセージ", "消息", "内容", "grund",
];
/// Names in a map of field errors for errors of the whole request.
#[rustfmt::skip]
pub(super) const GENERAL: &[&str] = &[
    "nonfielderrors", "all", "schema", "formerrors", "base", "globalerrors", "general", "root", "global", "form",
];
/// Names of the parts of a request, which are not part of a field's path.
#[rustfmt::skip]
pub(super) const REQUEST_PARTS: &[&str] = &[
    "body", "json", "query", "querystring", "path", "header", "headers", "cookie", "cookies", "params", "form",
    "payload", "data", "files", "formdata", "requestbody", "request", "bodyparams", "queryparams", "pathparams",
    "formparams", "validationerror",
];
/// Names of stack traces.
#[rustfmt::skip]
pub(super) const STACK: &[&str] = &[
    "stack", "stacktrace", "trace", "traceback", "backtrace", "exceptiontrace", "stacktracestring", "debugtrace",
];
/// Names of the class of the exception.
#[rustfmt::skip]
pub(super) const EXCEPTION: &[&str] = &[
    "exception", "exceptiontype", "exceptionclass", "exceptionname", "errorclass",
];

/// Names of the cause.
#[rustfmt::skip]
pub(super) const CAUSE: &[&str] = &[
    "cause", "causedby", "rootcause", "innerexception", "innermessage", "exceptioncause",
];

/// The words that end the name of a code, in the languages in which services are written.
const CODE_WORDS: &[&str] = &["code", "cd", "codigo", "codice", "kodu", "코드", "コード", "码", "代码"];
/// Names of other codes: of the HTTP status, of places and of money.
const OTHER_CODES: &[&str] = &[
    "statuscode",
    "httpcode",
    "httpstatuscode",
    "httpstatus",
    "zipcode",
    "postalcode",
    "postcode",
    "countrycode",
    "currencycode",
    "languagecode",
    "statecode",
    "areacode",
    "barcode",
    "promocode",
];

/// Returns true if the normalized name ends like the name of a machine code.
pub(super) fn is_code(name: &str) -> bool {
    CODE_WORDS.iter().any(|word| name.ends_with(word)) && !OTHER_CODES.contains(&name)
}

/// Returns true if the normalized name ends like the name of a message.
pub(super) fn is_message(name: &str) -> bool {
    const WORDS: &[&str] = &["message", "msg", "mensaje", "mensagem", "meldung", "messaggio", "메시지", "メッセージ", "信息", "消息"];
    WORDS.iter().any(|word| name.ends_with(word))
}

/// A long list of names, with the mark of each.
pub(super) struct Names {
    names: &'static [&'static str],
    marks: &'static [u8],
}

/// [`MESSAGE`] with marks.
pub(super) const MESSAGES: Names = Names { names: MESSAGE, marks: &marks::<{ MESSAGE.len() }>(MESSAGE) };
/// [`CODE`] with marks.
pub(super) const CODES: Names = Names { names: CODE, marks: &marks::<{ CODE.len() }>(CODE) };
/// [`WRAPPER`] with marks.
pub(super) const WRAPPERS: Names = Names { names: WRAPPER, marks: &marks::<{ WRAPPER.len() }>(WRAPPER) };
/// [`CONTEXT`] with marks.
pub(super) const CONTEXTS: Names = Names { names: CONTEXT, marks: &marks::<{ CONTEXT.len() }>(CONTEXT) };
/// [`FIELDS`] with marks.
pub(super) const FIELD_LISTS: Names = Names { names: FIELDS, marks: &marks::<{ FIELDS.len() }>(FIELDS) };

/// The maximum number of members of one object that are inspected.
const MAX_NAMES: usize = 300;

/// Returns the normalized form of a name, in which names are compared.
pub(super) fn normalize_name(name: &str) -> String {
    // A namespace prefix is not part of the name: `hydra:description`.
    let name = name.rsplit_once(':').map_or(name, |(_, local)| local);
    if name.is_ascii() {
        let letters = name.bytes().take(64).filter(|byte| !matches!(byte, b'_' | b'-' | b'@' | b'$' | b' ' | b'.'));
        let mut plain = String::with_capacity(name.len().min(64));
        letters.for_each(|byte| plain.push(char::from(byte.to_ascii_lowercase())));
        return plain;
    }
    let plain = |c: char| match c {
        '_' | '-' | '@' | '$' | ' ' | '.' => None,
        'á' | 'à' | 'â' | 'ã' | 'ä' => Some('a'),
        'é' | 'è' | 'ê' | 'É' => Some('e'),
        'í' | 'ì' => Some('i'),
        'ó' | 'ò' | 'ô' | 'õ' | 'ö' => Some('o'),
        'ú' | 'ù' | 'ü' => Some('u'),
        'ç' => Some('c'),
        'ñ' => Some('n'),
        'ł' => Some('l'),
        c => Some(c.to_ascii_lowercase()),
    };
    name.chars().take(64).filter_map(plain).collect()
}

/// An object with its normalized names.
pub(super) struct NormalizedObject<'v> {
    members: Vec<(String, &'v Value)>,
    /// The marks of all names. Most of the names that are looked for are missing, which their mark shows without a comparison.
    marks: u64,
}

impl<'v> NormalizedObject<'v> {
    pub(super) fn new(object: &'v Map<String, Value>) -> Self {
        let mut all: Vec<_> = object.iter().take(MAX_NAMES).map(|(name, value)| (name.starts_with('_'), name, value)).collect();
        // `message` before `_message`.
        if all.iter().any(|(private, ..)| *private) {
            all.sort_by_key(|(private, ..)| *private);
        }
        let members: Vec<_> = all.into_iter().map(|(_, name, value)| (normalize_name(name), value)).collect();
        let marks = members.iter().fold(0, |marks, (name, _)| marks | 1 << mark(name));
        Self { members, marks }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'v Value> {
        if self.has_mark(mark(name)) { self.find(name) } else { None }
    }

    const fn has_mark(&self, mark: u8) -> bool {
        self.marks >> mark & 1 == 1
    }

    fn find(&self, name: &str) -> Option<&'v Value> {
        self.members.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// Returns the members with these names, in the order of the names.
    pub(super) fn all_of(&self, names: &Names) -> impl Iterator<Item = (&'static str, &'v Value)> {
        let known = names.marks.iter().zip(names.names).filter(|(mark, _)| self.has_mark(**mark));
        known.filter_map(|(_, name)| Some((*name, self.find(name)?)))
    }

    /// Returns the normalized names with their values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'v Value)> {
        self.members.iter().map(|(name, value)| (name.as_str(), *value))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns the first result of `take` for the members with these names.
    pub(super) fn first<T>(&self, names: &[&'static str], take: impl Fn(&'static str, &'v Value) -> Option<T>) -> Option<T> {
        names.iter().find_map(|name| take(name, self.get(name)?))
    }

    pub(super) fn text(&self, name: &str) -> Option<&'v str> {
        self.get(name)?.as_str()
    }
}

/// Returns the mark of a name, a number below 64 that is made of its first byte and its length.
const fn mark(name: &str) -> u8 {
    let first = if let [first, ..] = name.as_bytes() { *first } else { 0 };
    (first ^ (name.len() as u8).wrapping_mul(8)) % 64
}

const fn marks<const N: usize>(names: &[&str]) -> [u8; N] {
    let mut marks = [0; N];
    let mut at = 0;
    while at < N {
        marks[at] = mark(names[at]);
        at += 1;
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn members_are_found_as_without_marks(names in proptest::collection::vec("(errors?|messages?|code|reason|detail|Status)|[a-d_]{0,4}|[a-z\u{e9}]{0,9}", 0..9), wanted in "[a-d]{0,4}|[a-z\u{e9}]{0,9}") {
            let object: Map<String, Value> = names.iter().enumerate().map(|(at, name)| (name.clone(), Value::from(at))).collect();
            let named = NormalizedObject::new(&object);
            for wanted in names.iter().map(|name| normalize_name(name)).chain([wanted]) {
                let public = object.iter().filter(|(name, _)| !name.starts_with('_'));
                let mut all = public.chain(object.iter().filter(|(name, _)| name.starts_with('_')));
                let expected = all.find(|(name, _)| normalize_name(name) == wanted).map(|(_, value)| value);
                proptest::prop_assert_eq!(named.get(&wanted), expected);
            }
            for (names, list) in [(MESSAGES, MESSAGE), (CODES, CODE), (WRAPPERS, WRAPPER), (CONTEXTS, CONTEXT), (FIELD_LISTS, FIELDS)] {
                let expected: Vec<_> = list.iter().filter_map(|name| Some((*name, named.get(name)?))).collect();
                proptest::prop_assert_eq!(named.all_of(&names).collect::<Vec<_>>(), expected);
            }
        }
    }
}
