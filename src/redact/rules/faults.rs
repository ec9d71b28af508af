//! Rules for classes of exceptions, and for sentences that only a language runtime or its network stack writes. Knows no other family.

use super::rule::Family::{Class, Fault};
use super::rule::{Rule, hint, likely};

pub(super) const RULES: &[Rule] = &[
    // classes
    likely(
        Class,
        r"(?m)\b(?:[a-z_$][\w$]*\.)+[A-Z][\w$]*(?:Exception|Error|Throwable|Failure|Fault|Timeout|Refused|Denied|Warning)(?:: ?|\s*$|[\x22'<&\\])",
    ),
    hint(Class, r"\b(?:[a-z_$][\w$]*\.)+[A-Z][\w$]*(?:Exception|Error|Throwable|Failure|Fault|Timeout|Refused|Denied)\b"),
    hint(Class, r"\b(?:[a-z_][\w$]*\.){2,}[A-Z][\w$]*"),
    likely(Class, r"(?m)\b[A-Z]\w*(?:::|\\{1,2}|\.)(?:\w+(?:::|\\{1,2}|\.))*[A-Z]\w*(?:Exception|Error)(?:: ?|\s*$|[\x22'<&(])"),
    hint(Class, r"\b[A-Z]\w*(?:::|\\{1,2}|\.)(?:\w+(?:::|\\{1,2}|\.))*[A-Z]\w*(?:Exception|Error)\b"),
    hint(Class, r"\b[A-Z]\w+(?:\\{1,2}[A-Z]\w+)+|\b[A-Z]\w+(?:::[A-Z]\w+)+"),
    hint(Class, r"\b[A-Z]\w*[a-z]Exception\b"),
    hint(
        Class,
        r"\b(?:Key|Type|Value|Attribute|Name|Index|Runtime|Reference|Syntax|Range|Import|Module\w*|OS|IO|NoMethod|Argument|Operational|Integrity|Programming|Data|Zero\w*|Null\w*|Assertion|Unicode\w*|Recursion|System|Internal|Eval|URI|Aggregate|Lookup|Memory|Overflow|Connection\w*|Timeout|Permission|FileNotFound|Frozen|Fiber|Load|Script|StandardError|Name|Match|Undefined\w*|Function\w*|BadArity|Protocol\w*|Arithmetic|Template\w*|Database\w*|Sequelize\w*|Mongo\w*|Query\w*|Cast\w*|Axios|Fetch|Type\w*|Mongoose|Prisma\w+|Entity\w+|Record\w+|ActiveRecord|Validation\w+|Http\w*|HTTP\w+|Jwt|JsonWebToken|TokenExpired|Parse\w*)Error\b(?:[:(]|$)|\b(?:Key|Type|Value|Attribute|Reference|Range|NoMethod|Integrity|Operational|Programming|Assertion|ZeroDivision|Runtime|Index|Name|Import)Error\b",
    ),
    hint(
        Class,
        r"\b[A-Z][a-z]\w*(?:Controller|Service|Repository|Dao|DAO|Handler|Middleware|Resolver|Entity|Dto|DTO|Factory|Provider|Interceptor|Servlet|Impl|Bean|Serializer|Deserializer)(?:[.#@$]|::|->)\w+",
    ),
    hint(Class, r"\b[A-Z]\w*[a-z][A-Z][a-z]+(?:Error|Exception)\b|\b[A-Z]\w+(?:\.[A-Z]\w+){2,}\b"),
    // values as runtimes print them: `Order(id=7, ...)`, `{:id 7}`
    hint(Class, r"\b[A-Z]\w*[a-z]\w*\(\w+=|\{:[a-z][\w/.-]* "),
    // names of servers with their versions
    hint(
        Class,
        r"(?i)\b(?:nginx|apache|httpd|openresty|tomcat|jetty|undertow|php|openssl|python|gunicorn|uvicorn|werkzeug|microsoft-iis|kestrel|express|puma|passenger|haproxy|varnish|squid|envoy)/\d+\.\d",
    ),
    likely(Fault, r"\bLDAP: error code \d+|\bLdapErr\b|\bDSID-[0-9A-F]+|\bKDC_ERR_\w+"),
    // scripting runtimes
    likely(
        Fault,
        r"Cannot read propert(?:y|ies) |Cannot set propert(?:y|ies) |\b(?:undefined|null) is not an? |\b[\w$]+\.[\w$.]+ is not (?:a function|a constructor|iterable|defined)\b|(?m)(?:^|: |[\x22'(])[a-zA-Z_$][\w$]* is not (?:a function|a constructor|iterable|defined)(?:\s*$|[\x22'(\\]|\s+at )",
    ),
    likely(
        Fault,
        r"'\w+' object (?:has no|is not|does not|cannot)|\bobject has no attribute\b|unsupported operand type|required positional argument|unexpected keyword argument|referenced before assignment|cannot access (?:local|free) variable|\bname '\w+' is not defined|No module named |maximum recursion depth|object is not (?:subscriptable|callable|iterable)|not supported between instances|list index out of range|string indices must be",
    ),
    likely(
        Fault,
        r"undefined (?:local variable or )?method [`']|\bfor nil(?::NilClass)?\b|NilClass|uninitialized constant|wrong number of arguments \(|stack level too deep|Maximum call stack size",
    ),
    likely(
        Fault,
        r"Undefined (?:variable|index|offset|array key|property|constant)\b|Call to (?:a member function|undefined|private|protected)|Trying to (?:get property|access array)|, (?:null|string|int|integer|float|bool|boolean|array|none) given\b|Argument #?\d+ (?:\(\$|passed to)|failed to open stream|Maximum execution time|Allowed memory size",
    ),
    likely(
        Fault,
        r"Can't (?:locate (?:object method )?\S|use (?:an undefined value|string)|call method)|Use of uninitialized value|Not an? (?:HASH|ARRAY|CODE|SCALAR) reference|Global symbol \x22",
    ),
    likely(
        Fault,
        r"attempt to (?:index|call|perform arithmetic on|concatenate|compare) |bad argument #\d+ to '|can't read \x22[^\x22]+\x22: no such|invalid command name \x22|wrong # args:",
    ),
    // managed runtimes
    likely(
        Fault,
        r"Object reference not set|Value cannot be null|Sequence contains (?:no|more than)|was not in a correct format|Specified cast is not valid|Nullable object must have|Index was out(?:side| of)|Unable to cast object|The given key (?:'[^']*' )?was not present|Parameter name: \w|\(Parameter '\w+'\)|Could not load file or assembly|Unable to resolve service for type",
    ),
    likely(
        Fault,
        r"Cannot invoke \x22|because (?:the return value of )?\x22[^\x22]+\x22 is null|cannot be cast to (?:class )?[a-z]|Index \d+ out of bounds|index out of range|For input string: |No (?:value|element) present|Cannot (?:de)?serialize (?:value|instance) of|\(through reference chain|Unrecognized field \x22|no String-argument|\[Source: |nested exception is|Required request body is missing: |Failed to convert (?:value|property value) of type|Failed to instantiate \[|Error creating bean|Could not (?:autowire|resolve placeholder)",
    ),
    likely(
        Fault,
        r"unexpectedly found nil|Null check operator|is not a subtype of|type '\w+' is not a|lateinit property|Parameter specified as non-null is null",
    ),
    // native and functional runtimes
    likely(
        Fault,
        r"invalid memory address|nil pointer|interface conversion: |cannot unmarshal |Go (?:struct field|value of type)|Error:Field validation for '|strconv\.\w+: |invalid character '[^']*' (?:looking|after|in)|reflect: call|out of range \[\d|(?:read|write|send|close) (?:of|on|from|to) (?:nil|closed) (?:map|channel|pipe)|assignment to entry in nil map",
    ),
    likely(
        Fault,
        r"index out of bounds: |attempt to \w+ with overflow|attempt to divide by zero|no function clause matching|no match of right hand side|no case clause matching|bad argument in arithmetic|\b(?:head|tail|last|init|next|reduce\w*|max\w*|min\w*|foldl?1?|foldr1?)\b[^\n]{0,12}\b[Ee]mpty (?:list|iterator|structure|collection)|(?i:integer )?divi(?:sion|ded|de) by (?:zero|0)\b|arithmetic (?:exception|operation)",
    ),
    likely(
        Fault,
        r"subscript out of bounds|non-numeric argument|argument is of length zero|missing value where TRUE/FALSE|could not find function \x22|object of type '\w+' is not subsettable",
    ),
    // network errors
    likely(
        Fault,
        r"\b(?:connect|getaddrinfo|read|write|open|listen|spawn|bind|send|query\w*|scandir|l?stat|unlink|mkdir|accept|access|connection) E(?:2BIG|ACCES|ADDR\w+|AGAIN|AI_\w+|BADF|BUSY|CANCELED|CHILD|CONN\w+|DQUOT|EXIST|FAULT|FBIG|HOST\w+|INTR|INVAL|IO|ISDIR|LOOP|MFILE|MSGSIZE|NAMETOOLONG|NET\w+|NFILE|NO(?:BUFS|DATA|DEV|ENT|EXEC|MEM|PROTOOPT|SPC|SYS|TCONN|TDIR|TEMPTY|TFOUND|TSOCK|TSUP)|OVERFLOW|PERM|PIPE|PROTO\w*|RANGE|ROFS|SOCKET\w*|SPIPE|SRCH|STALE|TIME\w+|TXTBSY|XDEV)\b|\bE(?:2BIG|ACCES|ADDR\w+|AGAIN|AI_\w+|BADF|BUSY|CANCELED|CHILD|CONN\w+|DQUOT|EXIST|FAULT|FBIG|HOST\w+|INTR|INVAL|IO|ISDIR|LOOP|MFILE|MSGSIZE|NAMETOOLONG|NET\w+|NFILE|NO(?:BUFS|DATA|DEV|ENT|EXEC|MEM|PROTOOPT|SPC|SYS|TCONN|TDIR|TEMPTY|TFOUND|TSOCK|TSUP)|OVERFLOW|PERM|PIPE|PROTO\w*|RANGE|ROFS|SOCKET\w*|SPIPE|SRCH|STALE|TIME\w+|TXTBSY|XDEV): [a-z]",
    ),
    hint(
        Fault,
        r"\bE(?:CONNREFUSED|CONNRESET|CONNABORTED|NOTFOUND|AI_AGAIN|HOSTUNREACH|NETUNREACH|TIMEDOUT|SOCKETTIMEDOUT|ACCES|NOENT|PIPE|MFILE|ADDRINUSE|PERM|EXIST|ISDIR|NOSPC)\b",
    ),
    likely(
        Fault,
        r"(?i)\bgetaddrinfo\b|\bdial (?:tcp|udp|unix)\b|\bno such host\b|\bconnection (?:refused(?:\s*$|[^\w\s]|\s+(?:at|to|for|while|error|\(|\[))|reset by peer|timed out after)|name or service not known|temporary failure in name resolution|nodename nor servname|\bno route to host|network is unreachable|\bbroken pipe\b|socket hang up|\bi/o timeout|context deadline exceeded|\(os error \d+\)|\[errno -?\d+\]|\berrno[:=] ?\d|\bcurl(?: error|: \()|max retries exceeded|connectionpool\(|certificate verify failed|ssl routines|handshake_failure|remote end closed connection|upstream connect error|rpc error: |statuscode\.\w+|the underlying connection was closed|no connection could be made because|actively refused",
    ),
    likely(
        Fault,
        r"(?i)\bno such file or directory\b|could not find (?:file|a part of the path) '|input/output error|no space left on device|too many open files|cannot allocate memory|java heap space|gc overhead limit",
    ),
];
