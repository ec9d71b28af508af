//! Rules for stack traces: the frames and the headers around them, by family of runtimes. Knows no other family.

use super::rule::Family::Trace;
use super::rule::{Rule, frame, hint, likely, sure};

pub(super) const RULES: &[Rule] = &[
    // JVM: `at module/pkg.Class.method(File.java:1)`
    frame(
        Trace,
        r"\bat (?:[\w.@$-]*/{1,2})*(?:[\w$<>-]+\.)+[\w$<>-]+ ?\((?:[\w$ .-]+\.(?:java|kts?|scala|sc|clj[cs]?|groovy|gradle|jspx?|rb|js)(?::-?\d+)?|Native Method|Unknown Source|<\w+>(?::\d+)?|[\w.$-]*:\d+)\)",
    ),
    frame(Trace, r"[\w$]\((?:[\w$-]+\.(?:java|kt|scala|clj|groovy):\d+|Native Method|Unknown Source)\)"),
    sure(Trace, r#"\bException in thread ""#),
    sure(Trace, r"\b(?:Caused by|Suppressed|Wrapped by): (?:(?:[a-z_$][\w$]*\.)+[A-Z][\w$]*|[A-Z][\w$]*(?:Exception|Error)\b)"),
    hint(Trace, r"\bCaused by: "),
    likely(Trace, r"\.\.\. \d+ (?:more$|more\b[^a-z]*$|common frames omitted|elided|lines matching|levels)"),
    sure(Trace, r"(?i)\b(?:root|nested) (?:cause|exception)(?: is)?:? (?:[a-z_$][\w$]*\.)+[A-Z]"),
    sure(Trace, r"A fatal error has been detected by the|\bProblematic frame:|\bSIG(?:SEGV|ABRT|BUS|FPE|ILL|TRAP) \("),
    sure(Trace, r"\bFATAL EXCEPTION: |\bE/AndroidRuntime"),
    // Clojure's frames without `at`: `ns$fn.invoke (core.clj:1)`, `ns/fn (core.clj:1)`, `[ns$fn invoke "core.clj" 1]`
    frame(Trace, r#"[\w$./*!?<>=-]+ \(?\w+\.clj[cs]?:\d+|\[[\w.$]+ \w+ "\w+\.(?:clj[cs]?|java)" \d+\]"#),
    sure(Trace, r"#(?:error|object) ?[\{\[]:?\w"),
    // Python, and OCaml's `File "x.ml", line 1, characters 2-3`
    likely(Trace, r"(?m)Traceback \((?:most recent call (?:last|first)|innermost last)\)(?::(?:\s|<|\\+n)|:?$)"),
    frame(Trace, r#"(?i)\bfile ['"][^"'\n]+['"](?: \(inlined\))?,? lines? \d+"#),
    frame(Trace, r"(?m)^\s*(?:Raised|Re-raised|Called)(?: by primitive operation)? (?:at|from) \S"),
    hint(Trace, r"The above exception was the direct cause|During handling of the above exception"),
    frame(Trace, r"\.(?:{EXT})\W{0,3}, line \d+"),
    frame(Trace, r"\b(?:site|dist)-packages[\\/]|\bnode_modules[\\/]|[\\/]vendor[\\/][\w.-]+[\\/][\w.-]+[\\/]|[\\/]gems[\\/][\w.-]+-\d"),
    // JavaScript engines: `at f (x.js:1:2)`, `at x.js:1:2` on a line of its own
    frame(
        Trace,
        r"\bat (?:async |new )*[^\s()]+ (?:\[as [^\]\n]+\] )?\((?:[a-z][\w+-]*:/*(?:[\w.-]+:\d+/)?|[A-Za-z]:[\\/])?[^\s():]*(?:\.[A-Za-z]\w{0,5}(?:\?\w*)?|<anonymous>|\[eval\][\w-]*|[\w>]/[\w.-]+):\d+:\d+\b",
    ),
    frame(
        Trace,
        r"(?m)(?:^\s*|\n *)at (?:async |new )*(?:[a-z][\w+-]*:/*|[A-Za-z]:[\\/])?[^\s():]*(?:\.[A-Za-z]\w{0,5}(?:\?\w*)?|<anonymous>|\[eval\][\w-]*|[\w>]/[\w.-]+):\d+:\d+\b",
    ),
    hint(Trace, r"\bat (?:async )?(?:[a-z][\w+-]*:/*|[A-Za-z]:[\\/])?[^\s():]*(?:\.[A-Za-z]\w{0,5}|<anonymous>):\d+:\d+\b"),
    frame(Trace, r"\bat (?:async |new )*[\w$.<>]+ (?:\[as [^\]\n]+\] )?\((?:<anonymous>|native|index \d+|eval at [^\n]+|node:[^\s)]+)\)"),
    frame(Trace, r"[\w$./<>*\[\]-]*@(?:https?|file|webpack(?:-internal)?|resource|moz-extension|capacitor|app|blob):/[^\s@]+:\d+:\d+"),
    frame(
        Trace,
        r"\bnode:internal/|\bnode:\w+:\d+|\b(?:internal/(?:modules|process|main|per_context|timers)|webpack-internal:|evalmachine\.)",
    ),
    sure(Trace, r"\(node:\d+\) |UnhandledPromiseRejection|<--- Last few GCs|FATAL ERROR: [\w:]+"),
    // WebAssembly engines
    sure(Trace, r"\bwasm-function\[\d+\]|(?m)^\s*\d+:\s+0x[0-9a-f]+ - \S+!"),
    // .NET, in any language of the system: `at A.B(C c) in X.cs:line 1`
    frame(
        Trace,
        r"(?m)^\s*(?:at|bei|en|em|in|w|vid|ved|[^\x00-\x7f]+:?)\s+(?:[\w<>`+|$\[\],&-]+\.)+[\w<>`+|.$\[\],&-]+\([^()\n]*\)(?:$|\s*(?:in|dans|bei|en|em|w|[^\x00-\x7f]+)?\s)",
    ),
    frame(Trace, r"\bat (?:[A-Z][\w`]*\.)+(?:<[\w>`|]*)?[\w>`|]+(?:\.MoveNext)?\((?:[A-Z][\w.`\[\]<>&, ]* \w+(?:, )?)*\) (?:in|at|---)\b"),
    sure(
        Trace,
        r":(?:line|ligne|Zeile|riga|l\xc3\xadnea|linha|regel|wiersz|sor|\xe8\xa1\x8c|\xec\xa4\x84|\xd1\x81\xd1\x82\xd1\x80\xd0\xbe\xd0\xba\xd0\xb0) \d+",
    ),
    sure(Trace, r"--- End of (?:inner )?(?:exception )?stack ?trace|---> [A-Z][\w.]*(?:Exception|Error)|--->\s*\(Inner Exception"),
    frame(Trace, r"<\w*>(?:[bdgc]__?\w*|\$)|\.MoveNext\(\)|c__DisplayClass|\blambda_method\d*\("),
    sure(Trace, r"\[\w+(?:Exception|Error)(?: \(0x[0-9a-fA-F]+\))?: |\bSystem\.(?:\w+\.)*\w+Exception\b[:\s]"),
    sure(Trace, r"\(at (?:\.?/)?[\w/. -]+\.cs:\d+\)"),
    // Ruby: `x.rb:1:in 'm'`
    frame(Trace, r"\S:\d+:in [`'\x22\xe2]"),
    frame(Trace, r"\bin (?:app|lib|config) ?/|(?m)^\s*(?:from )?(?:app|lib|config|bin|spec|test)/[\w/.-]+\.\w+:\d+"),
    // PHP: `#0 x.php(1): f()`
    frame(Trace, r"#\d+ (?:[^\s:()]+\(\d+\): |\[internal function\]|\{main\}|[\w\\]+(?:->|::)\w+\()"),
    sure(
        Trace,
        r"\bin (?:phar://)?[^\s:()\x22'<>]+\.(?:php\d?|phtml|inc|module|tpl|twig|theme|install)(?::\d+\b|\(\d+\)| (?:on|at) line \d+)",
    ),
    sure(
        Trace,
        r"(?m)(?:^|[\s\x22'(>=])(?:[A-Za-z]:)?[\\/][^\s:\x22'<>]+ on line \d+|: eval\(\)'d code|\bthrown in (?:[\\/]|[A-Za-z]:|\w+[\\/.]\w)",
    ),
    likely(
        Trace,
        r"\b(?:PHP (?:Fatal|Parse)|Recoverable fatal|Catchable fatal) error: |\b(?:Fatal|Parse) error: +(?:Uncaught |Allowed memory|Maximum execution|syntax error|Cannot redeclare|Call to |[^\n]* on line \d)",
    ),
    // Go
    sure(Trace, r"\bgoroutine \d+ (?:gp=\S+ )?(?:m=\S+ )?(?:mp=\S+ )?\[[^\]\n]*\]:"),
    sure(Trace, r"\.(?:go|s):\d+ \+0x[0-9a-f]+|(?m)^created by [\w./*()-]+|\[signal SIG\w+"),
    sure(Trace, r"\bruntime error: (?:invalid memory|index out|slice bounds|integer divide|makeslice|hash of|comparing|cgo|growslice)"),
    likely(
        Trace,
        r"(?m)^(?:\s*|http: )panic(?: serving [^\n:]+:\d+)?: |\bfatal error: (?:all goroutines|concurrent map|stack overflow|unexpected signal)",
    ),
    frame(Trace, r"(?m)^(?:[\w./-]+\.)+\(?\*?\w+\)?(?:\.\w+)*\(?(?:\.\.\.|0x[0-9a-f]+|\{0x)"),
    // Rust
    sure(Trace, r"\bthread '[^'\n]*'(?: \(\d+\))? (?:panicked at|has overflowed)|\bpanicked at (?:'|[\w./\\-]+\.rs:\d+)"),
    sure(Trace, r"\bcalled `(?:Result|Option)::\w+\(\)` on an? |\bstack backtrace:|RUST_(?:LIB_)?BACKTRACE"),
    frame(Trace, r"(?m)^\s*\d+:\s+(?:0x[0-9a-f]+ - )?<?[\w<>&$ ]+(?:::[\w<>{}#$&' ]+)+"),
    // Elixir and Erlang
    sure(Trace, r"\*\* \((?:(?:[A-Z]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit)|exit|EXIT|throw|stop|ErlangError|MatchError)\b"),
    sure(Trace, r"\([\w-]+ \d[\w.+-]*\) \S+\.(?:exs?|[ehl]?eex|erl):\d+|\([\w-]+\) (?:lib|src|web|test)/\S+:\d+: "),
    sure(
        Trace,
        r#"\{file,\s*"[^"\n]*"\},\s*\{line,\s*\d+\}|\{(?:badmatch|case_clause|function_clause|undef|badarg|try_clause|badarith|badkey|nocatch),"#,
    ),
    sure(
        Trace,
        r"(?m)^\s*in (?:function|call from)  ?\S+/\d+|=(?:CRASH|ERROR|SUPERVISOR|PROGRESS) REPORT=|\bError in process <|\bexception (?:error|exit|throw): ",
    ),
    sure(Trace, r"#PID<\d+\.\d+\.\d+>|<\d+\.\d+\.\d+>(?: |,|$)|\bGenServer \S+ terminating|\bRan? by (?:Task|GenServer)"),
    // Perl
    sure(
        Trace,
        r"\bat (?:[^\s\x22]*[\\/][^\s\x22]*|[^\s\x22]+\.(?:p[lm]|t|cgi|psgi|fcgi)|\(eval \d+\)|-e|[\w.-]*(?:script|template)\S*) line \d+",
    ),
    sure(Trace, r"\bcalled at \S+ line \d+|(?:::|->)\w+\([^\n]*\) called at |\bDBD::\w+::\w+ \w+ failed|\bBEGIN failed--"),
    // Lua
    sure(Trace, r"(?m)\bstack traceback:|\[C\]: in |\[string \x22[^\n]*\x22\]:\d+:|\S+\.lua:\d+:|\blua entry thread aborted"),
    // Swift, Objective-C, native crash reports
    sure(Trace, r"\b(?:Fatal error|Precondition failed|Assertion failed): [^\n]*\bfile [^\n]+, line \d+|\.swift:\d+: "),
    sure(Trace, r"(?m)^\s*\d+\s+\S[^\n]*\s0x[0-9a-fA-F]{6,}\s+\S[^\n]* \+ (?:0x)?\d+|^\s*\d+(?: \[[\w ,]+\])? 0x[0-9a-f]{6,} [\w$<]"),
    sure(
        Trace,
        r"\*\*\* (?:Terminating app due|First throw call stack)|\bThread \d+(?: name)?[^\n]* [Cc]rashed|\bCrashed Thread:|\bException Type:\s+EXC_",
    ),
    // Dart
    frame(
        Trace,
        r"#\d+\s+\S[^\n]*\((?:package|dart|file|org-dartlang[\w-]*):[^)\n]+\)|\bpackage:\S+\.dart:?\s?\d+:\d+|\bdart:\w[\w/.-]* \d+:\d+",
    ),
    // C, C++, gdb, sanitizers, valgrind, glibc
    sure(Trace, r"#\d+\s+0x[0-9a-fA-F]+(?: in)? |(?m)^#\d+\s+[\w:~<>$.@*& -]+ ?\([^\n]*\) (?:at|from) \S|^#\d+\s+<signal handler called>"),
    sure(Trace, r"==\d{3,}==|\b(?:Address|Memory|Thread|Leak|UndefinedBehavior)Sanitizer\b|\b(?:at|by) 0x[0-9A-Fa-f]{4,}: "),
    sure(Trace, r":\d+:\d+: runtime error: |\[0x[0-9a-fA-F]{6,}\]|\(\+0x[0-9a-f]+\)|\+0x[0-9a-f]+[)\]/]"),
    sure(
        Trace,
        r"\*\*\* [a-z ]+ detected \*\*\*|\bterminate called |\bwhat\(\):  ?|\bAssertion [`'][^\n]+' failed|, function \w+, file [^\n]+, line \d+",
    ),
    sure(
        Trace,
        r"(?m)\((?:core dumped)\)|\bProgram (?:received signal|terminated with signal)|^(?:free|malloc|realloc|munmap_chunk)\(\): |\bdouble free or corruption",
    ),
    likely(Trace, r"\bSegmentation fault\b|\bAccess violation (?:at|reading|writing)|\bFaulting (?:application|module)|\bBus error\b"),
    sure(Trace, r"\bException E[A-Z]\w+ (?:in module|with message)|raised exception class E[A-Z]\w+|\bat address [0-9A-Fa-f]{8,}"),
    // Haskell, R, Tcl
    sure(
        Trace,
        r"\bCallStack \(from |\bcalled at \S+:\d+:\d+ in |\bNon-exhaustive (?:patterns|guards)|\bPrelude\.\w+: |:\(\d+,\d+\)-\(\d+,\d+\)",
    ),
    sure(
        Trace,
        r"(?m)^Error in [\w.$:\[\]]+ ?\([^\n]*\) ?: ?$|^Error in [\w.$:]+\([^\n]*\) ?: |\bExecution halted$|^Calls: \S+ ?->|\bat \S+\.[rR]#\d+|<simpleError in ",
    ),
    sure(
        Trace,
        r#"(?m)^\s*(?:while executing|invoked from within|while compiling)$|\((?:procedure|file|class|object|method|"[^"\n]*" (?:arm|body|method)) [^\n]*line \d+\)|\("[^"\n]+" (?:arm|body) line \d+\)"#,
    ),
    // ColdFusion, ABAP, VB and classic ASP, mainframes
    sure(Trace, r"(?i)\bthe error occurred (?:in|on) (?:line \d|[a-z]:|/)|\b(?:coldfusion|lucee|railo)\.\w+\.|\.cf[mc]: line \d+"),
    sure(
        Trace,
        r"\bCX_(?:\w+_)*[A-Z0-9]{2,}\b|\bInformation on where terminated|(?m)^\s*Runtime Errors?\s{2,}[A-Z]\w+|\bABAP (?:[Pp]rogram|[Rr]untime|[Pp]rogramming|dump|source)",
    ),
    sure(
        Trace,
        r"\b(?:SAPL|LSAP|SAPM|SAPS)[A-Z0-9_]{2,}|\bLZ[A-Z0-9_]+(?:[UFIO]\d\d|TOP|UXX)\b|\b(?:DBIF_|SAPSQL_|GETWA_|ITAB_|CONVT_|TSV_TNEW|OBJECTS_OBJREF|UNCAUGHT_EXCEPTION)\w*",
    ),
    sure(
        Trace,
        r"(?i)\bmicrosoft (?:vbscript|jscript)\b|\bmicrosoft ole db|\b(?:odbc|ado) error|\berror '8[0-9a-f]{7}'|\.asp, line \d+|\brun-time error '-?\d+'",
    ),
    sure(
        Trace,
        r"\bABEND(?:ED)?\b|\bDFH[A-Z]{2}\d{4}\b|\b(?:IGZ|CEE|IEC|IEA)\d{3,4}[ACDEISW]\b|\bDSN[A-Z]\d{3}[ACDEISW]\b|\bS0C[0-9A-F]\b",
    ),
    // Ada, Fortran, Julia, Nim, Zig, Crystal, D, Lisps, PowerShell, shells
    sure(Trace, r"\braised [A-Z_]+(?:\.[A-Z_]+)* : |\bAt line \d+ of file |\bFortran runtime error|\bError termination\. Backtrace"),
    sure(
        Trace,
        r"@ \w+ \S+:\d+$|(?m)^\s*\[\d+\] (?:[\w.!#$&]+\([^\n]*\)|top-level scope)$|\S+\.nim\(\d+|\bunhandled exception: |\w@\S+\.d\(\d+\)|\S+\.cr:\d+:\d+ in '|\.zig:\d+:\d+: 0x",
    ),
    sure(
        Trace,
        r"(?m)^In [\w./-]+\.scm:$|^\s+\d+:\d+\s+\d+ \(|\bUnhandled [\w:-]+ in thread #<|\bdebugger invoked on |^\d+: \(\(?(?:FLET|LAMBDA|LABELS|SB-|[A-Z][A-Z0-9]*[:*%-][A-Z0-9:*%-]+ )",
    ),
    sure(Trace, r"\bIn procedure [\w-]+:|\bUnbound variable: |\bBacktrace:\s*$"),
    sure(Trace, r"\bAt (?:[A-Za-z]:\\|/|line:)[^\n]*\bchar:\d+|\bFullyQualifiedErrorId|\+ CategoryInfo"),
    sure(
        Trace,
        r"(?m)^\S+: (?:line )?\d+: [^\n]*(?:not found|No such file or directory|[Pp]ermission denied|syntax error|unbound variable|bad substitution)|^make(?:\[\d+\])?: \*\*\* ",
    ),
    sure(Trace, r"(?m)^[\w./-]+\.(?:{EXT}):\d+(?::\d+)?:? (?:- )?(?:fatal )?(?:error|warning|note|Error|undefined)\b"),
    // a numbered line of source, and the marks below it
    sure(Trace, r"(?m)^\s*\d+ \|[^\n]*\n\s*\|?\s*[~^]{2,}"),
    // server logs
    sure(
        Trace,
        r"\[(?:error|crit|alert|emerg)\] \d+#\d+: |\[(?:\w+:)?(?:error|crit|alert|emerg|warn|notice)\] \[pid \d+|\bAH\d{5}: |\bupstream: \x22\w+://",
    ),
    // structured traces in JSON
    sure(
        Trace,
        r#""(?:file|fileName|filename|filePath|file_path|abs_path)\\?"\s*:\s*\\?"(?:[^"\n]*(?:/|\\{1,4})\w[^"\n]*|[^"\n]*\.(?:{EXT})\\{0,3})"\s*,\s*\\?"(?:line|lineNumber|lineno|lineNo|line_number)\\?"\s*:\s*"?\d+"#,
    ),
    sure(
        Trace,
        r#""(?:methodName|declaringClass|className|nativeMethod)\\?"\s*:\s*\\?"?[\w$.<>]+"?\s*,\s*\\?"(?:fileName|lineNumber|methodName|className)\\?"\s*:"#,
    ),
    hint(
        Trace,
        r#""(?:stack|stack_?[tT]race|trace|traceback|backtrace|exception_trace|StackTraceString|stackTraceString)"\s*:\s*(?:"[^"]{20}|\[\s*(?:"[^"]{20}|\{))"#,
    ),
    frame(
        Trace,
        r"\.(?:{EXT}) in [\w<>.]+ at line \d+|(?m)^\s*in (?:method|sub|block|submethod|regex|code|function) [^\n]* at \S+ line \d+|^\s*\d+: In [\w.]+\(",
    ),
    sure(
        Trace,
        r"\bCall history:|\binit terminating in do_boot|\bCrash dump is being written|\bsegfault at [0-9a-f]+ ip|\blibcob: |(?m)^ERROR: LoadError: |^Stacktrace:$|\bExecution error \(|\bfailed_to_start_child\b|\{'EXIT',|(?m)^\[/[^\]\s]+:\d+\] !\?",
    ),
    sure(
        Trace,
        r#""(?:line|lineNumber|lineno|lineNo|line_number)\\?"\s*:\s*\\?"?\d+\\?"?\s*,\s*\\?"(?:func|function|functionName|function_name|method|methodName|class|className)\\?"\s*:"#,
    ),
    frame(Trace, r"(?m)\bexception occurred at \$[0-9A-F]{6,}|^\s*\$[0-9A-F]{6,}\b"),
    sure(Trace, r"<(?:[\w.]+ )+(?:object )?at 0x[0-9a-f]+[,>]|\bConsider defining a bean of type|\bAPPLICATION FAILED TO START"),
    likely(
        Trace,
        r"(?m)\bon line \d+ of [\\/\w]+[\\/.]|does not contain a definition for '|\brequired a bean of type|^ERROR: -g |^Warning messages?:$|\bInvoked from\b",
    ),
    frame(
        Trace,
        r"(?m)^Error in [\w.>/ ]+ \(line \d+\)|^\s*[0-9a-f]{8,} \+[0-9a-f]{2,} \S+\.(?:exe|dll|bpl|so)\b|^\s*\S+\.(?:exe|dll|bpl)\s+[0-9a-fA-F]{6,}",
    ),
    sure(Trace, r"\bPL/pgSQL\b[^\n]*\b[A-Za-z_.]+\(|(?m)^exception (?:class|message)\s+:"),
    // a source file with a line number
    frame(
        Trace,
        r"(?:\bat|\bin|\bfrom|\bby|\bnear|@|\()\s*[\x22'`]?(?:[A-Za-z]:)?[\w.@+~-]*[\\/][^\s:()\x22'<>,]*\.(?:{EXT})(?::\d+|\(\d+|, line \d+)",
    ),
    hint(Trace, r"(?:^|[\s\x22'(\[<>=,@`])[\w.\\/~+@-]*[A-Za-z_][\w-]*\.(?:{EXT}):\d+(?:[:,\s)\]\x22'<.;]|$)"),
    likely(Trace, r"[A-Za-z_][\w-]*\.(?:{EXT})(?:\(\d+(?:[,:]\s?\d+)?\)|[,:]? (?:on |at )?line:? \d+)"),
    // a symbol with its source file in parentheses, or a source file alone on an indented line
    frame(Trace, r"[\w>:)$] ?\((?:[a-z][\w+-]*:/*)?[\w$.@~/\\-]*[\w-]\.(?:{EXT}):\d+(?::\d+)?\)"),
    sure(Trace, r"\n[ \t]+at:? (?:[\w$<>@./-]+ )?(?:[\w$<>@/*-]+\.)*[\w$<>-]+ ?\((?:[a-z][\w+-]*:/*)?[\w$. /\\@~-]+:\d+(?::\d+)?\)"),
    frame(Trace, r"(?m)^\s+(?:[\w.$:]+ )?(?:[A-Za-z]:)?[\w.@+~-]*[\\/][^\s:()\x22'<>,]*\.(?:{EXT}):\d+(?::\d+)?(?::? |:?$|\x22)"),
    sure(Trace, r"[\w-]\.(?:{EXT}):\d+ @ \w+\(|\(code: -?\d+\): [^\n]* at \S+:\d+\)"),
    // frames by line number: `f at line 1 column 2`, `x (line 1):`, `on x.tf line 1, in y`
    frame(Trace, r"(?m)^\s+[\w.>/<@-]+ at line \d+ column \d+$|^\s*called on line \d+ of file "),
    sure(Trace, r"(?m)\berror: called from$|[\\/][\w./~-]+ \(line \d+\): |\bon \S+\.\w+ line \d+, in \w+ |^--> [^\n]+ at line \d+ "),
    likely(Trace, r"\bin \w[\w .]*\.\w{1,4}->\w[\w .]*\.\w{1,4}\b|\bStopped at \S+, \d+/\d+:"),
    // numbered frames of native symbols: `0# a::b(int) at x.cc:1`, `module!Function+0x1f`
    frame(Trace, r"(?m)^\s*\d+# (?:[\w:~<>$.@*&, -]+\(|\w[\w:]* (?:in|at) )"),
    sure(Trace, r"\b[0-9a-f]{8}`[0-9a-f]{8}\b|\w![\w:~<>@?$]+\+0x[0-9a-f]+"),
    // Smalltalk, Racket, Emacs Lisp, OCaml, SAS, IBM i
    frame(Trace, r"(?m)^\w+(?: class)?(?:\(\w+(?: class)?\))?>>[#\w:]+"),
    sure(
        Trace,
        r"\bdoesNotUnderstand: #|(?m)^\s+context\.\.\.:$|\bDebugger entered--Lisp error|^ERROR \d+-\d+: |\bat statement \d+, instruction\b",
    ),
    likely(
        Trace,
        r#"(?m)^(?:Fatal error: exception |Exception: )[A-Z][\w.]*(?: \(?"[^"\n]*"\)?)?\.?$|^ERROR: [^\n]*\n(?:NOTE|ERROR|WARNING): "#,
    ),
    // frames in the text of a page without its line ends
    likely(Trace, r"\bat (?:[\w$]+\.){2,}[\w$<>]+\([^()\n]*\)"),
    likely(
        Trace,
        r"(?i)\b(?:unhandled|uncaught) (?:exception|rejection|error|\w+error|\w+exception)(?:: ?\S|\. \S| in [\\/\w]+\.| of type ['\x22])",
    ),
    hint(Trace, r"(?i)\bunhandled (?:exception|rejection|error)\b|\buncaught (?:exception|error|\w+error|\w+exception)\b"),
    // pages and dumps for developers
    likely(
        Trace,
        r"(?i)\bDEBUG = True\b|\bURLconf\b|customErrors mode=|\bRails\.root\b|\bFull Trace\b|\b(?:application|framework) trace\b|(?:error|page) because you have|\byou(?:'re| are) seeing this (?:error|page) because you have|# in \w+\.\w+",
    ),
    sure(Trace, r"\b(?:object\([\w\\]+\)#\d+ \(\d+\)|array\(\d+\) \{|string\(\d+\) \x22)"),
    likely(Trace, r"(?m)^\s*\[\w+(?::\w+)*\] => \S[^\n]*\n\s*\[\w+(?::\w+)*\] =>"),
];
