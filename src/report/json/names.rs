//! Names under which errors say things, whatever the framework: compared without case, `_`, `-`, `@` and `$`, so that
//! `errorMessage`, `error_message` and `ErrorMessage` are one name.

use serde_json::{Map, Value};

/// Names of the sentence, best first.
pub(super) const MESSAGE: &[&str] = &[
    "message",
    "msg",
    "errordescription",
    "errormessage",
    "errordesc",
    "errmsg",
    "resultmsg",
    "resultmessage",
    "retmsg",
    "returnmsg",
    "returnmessage",
    "usermessage",
    "displaymessage",
    "clientmessage",
    "localizedmessage",
    "detail",
    "details",
    "description",
    "reason",
    "errorsummary",
    "errordetail",
    "errordetails",
    "errortext",
    "errorreason",
    "developermessage",
    "exceptionmessage",
    "faultstring",
    "text",
    "diagnostics",
    "explanation",
    "summary",
    "error",
    "errors",
    "errormessages",
    "title",
    "statusmessage",
    "statusdescription",
    "nonfielderrors",
    "all",
    "schema",
    "formerrors",
    "base",
    "globalerrors",
    "general",
    "longmessage",
    "info",
    "failurereason",
    "failure",
    "problem",
    "fault",
    "statustext",
    "content",
    "status",
    "err",
];
/// Names of the machine code, best first.
pub(super) const CODE: &[&str] = &[
    "code",
    "errorcode",
    "errcode",
    "resultcode",
    "retcode",
    "returncode",
    "faultcode",
    "messagecode",
    "errorkey",
    "messagekey",
    "subcode",
    "error",
    "errortype",
    "type",
    "reason",
    "status",
    "name",
    "key",
    "errno",
    "slug",
    "id",
    "title",
];
/// Objects that are the error, wrapped: they know better than what is around them.
pub(super) const WRAPPER: &[&str] = &[
    "error",
    "errors",
    "fault",
    "exception",
    "err",
    "failure",
    "response",
    "responsestatus",
    "status",
    "problem",
    "apierror",
    "errorresponse",
    "servicefault",
    "zoderror",
    "header",
    "head",
];
/// Objects and lists that say more about the error: they fill in what was not said.
pub(super) const CONTEXT: &[&str] = &[
    "detail",
    "details",
    "extensions",
    "data",
    "result",
    "meta",
    "issue",
    "issues",
    "extra",
    "embedded",
    "body",
    "payload",
    "messages",
    "message",
    "errors",
    "errorlist",
    "reasons",
];
/// Names that no map of field errors by itself would have.
pub(super) const RESERVED: &[&str] = &[
    "message",
    "messages",
    "msg",
    "error",
    "errors",
    "errormessage",
    "errormessages",
    "detail",
    "details",
    "code",
    "statuscode",
    "data",
    "result",
    "results",
    "meta",
    "links",
    "trace",
    "stack",
    "warnings",
    "exception",
    "success",
    "ok",
    "jsonrpc",
    "timestamp",
];
/// Names that are never a field when a string stands under them.
pub(super) const SAYS: &[&str] = &["message", "msg", "detail", "error", "code", "errorcode", "status", "statuscode", "errortype"];
/// Names of field errors.
pub(super) const FIELDS: &[&str] = &[
    "fields",
    "fielderrors",
    "fieldviolations",
    "modelstate",
    "errors",
    "violations",
    "constraintviolations",
    "invalidparams",
    "validationerrors",
    "validationmessages",
    "parameterviolations",
    "propertyviolations",
    "issues",
    "failures",
    "details",
    "detail",
    "suberrors",
    "invalidfields",
    "errordetails",
    "errormessages",
    "messages",
    "message",
    "params",
    "parameters",
    "validation",
    "extra",
    "errorcauses",
    "causes",
    "problems",
    "humanized",
    "formerrors",
    "errorlist",
    "paramerrors",
    "inner",
    "issue",
    "error",
    "data",
    "result",
    "properties",
];
/// Names of a field error's path, best first.
pub(super) const PATH: &[&str] = &[
    "field",
    "fieldname",
    "loc",
    "path",
    "property",
    "propertypath",
    "propertyname",
    "pointer",
    "instancepath",
    "jsonpath",
    "jsonpointer",
    "datapath",
    "param",
    "parameter",
    "paramname",
    "parametername",
    "attribute",
    "member",
    "membername",
    "membernames",
    "members",
    "attr",
    "argument",
    "location",
    "source",
    "name",
    "key",
    "target",
    "expression",
    "element",
    "column",
    "fields",
    "in",
];
/// Names of a field error's text, best first.
pub(super) const TEXT: &[&str] = &[
    "message",
    "msg",
    "detail",
    "defaultmessage",
    "description",
    "errormessage",
    "reason",
    "text",
    "errorsummary",
    "title",
    "error",
    "errors",
    "messages",
    "summary",
    "diagnostics",
    "constraint",
];
/// Names in a map of field errors that speak of the whole.
pub(super) const WHOLE: &[&str] =
    &["nonfielderrors", "all", "schema", "formerrors", "base", "globalerrors", "general", "root", "global", "form"];
/// Places of a request: where a value was sent is not part of its name.
pub(super) const PLACES: &[&str] = &[
    "body",
    "json",
    "query",
    "querystring",
    "path",
    "header",
    "headers",
    "cookie",
    "cookies",
    "params",
    "form",
    "payload",
    "data",
    "files",
    "formdata",
    "requestbody",
    "request",
    "bodyparams",
    "queryparams",
    "pathparams",
    "formparams",
    "validationerror",
];
/// Names of stack traces.
pub(super) const STACK: &[&str] =
    &["stack", "stacktrace", "trace", "traceback", "backtrace", "exceptiontrace", "stacktracestring", "debugtrace"];
/// Names of the exception's class.
pub(super) const EXCEPTION: &[&str] = &["exception", "exceptiontype", "exceptionclass", "exceptionname", "errorclass"];

/// Names of what caused the failure.
pub(super) const CAUSE: &[&str] = &["cause", "causedby", "rootcause", "innerexception", "innermessage", "exceptioncause"];

/// Names of one object that are looked at.
const MAX_NAMES: usize = 300;

/// A name as it is compared.
pub(super) fn squash(name: &str) -> String {
    // `hydra:description`: the prefix belongs to the document.
    let name = name.rsplit_once(':').map_or(name, |(_, local)| local);
    name.chars().take(64).filter(|c| !matches!(c, '_' | '-' | '@' | '$' | ' ' | '.')).map(|c| c.to_ascii_lowercase()).collect()
}

/// An object with its names as they are compared.
pub(super) struct Named<'v>(Vec<(String, &'v Value)>);

impl<'v> Named<'v> {
    pub(super) fn new(object: &'v Map<String, Value>) -> Self {
        let mut all: Vec<_> = object.iter().take(MAX_NAMES).map(|(name, value)| (squash(name), value, name.starts_with('_'))).collect();
        // `message` before `_message`.
        all.sort_by_key(|(_, _, private)| *private);
        Self(all.into_iter().map(|(name, value, _)| (name, value)).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&'v Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// What the first of the names that `take` accepts stands for.
    pub(super) fn first<T>(&self, names: &[&'static str], take: impl Fn(&'static str, &'v Value) -> Option<T>) -> Option<T> {
        names.iter().find_map(|name| take(name, self.get(name)?))
    }

    pub(super) fn text(&self, name: &str) -> Option<&'v str> {
        self.get(name)?.as_str()
    }
}
