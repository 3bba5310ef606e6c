//! SQL, as far as the guard reads it: statement heads, with comments and literals out of the way.

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// `DROP`, also in `ALTER TABLE … DROP`.
    Drop,
    Truncate,
    /// `DELETE` without `WHERE`, or with one that is always true.
    DeleteAll,
    /// `UPDATE` without `WHERE`.
    UpdateAll,
    /// Who may do what: `GRANT`, `REVOKE`, `CREATE USER`, `ALTER ROLE`, `SET PASSWORD`.
    Rights,
    /// Runs programs, reads or writes files of the server.
    Server,
    /// Ends connections, flushes, purges, shuts down.
    Admin,
    /// Any statement that changes data or structure.
    Change,
    /// Every statement only asks, and calls nothing but functions that are known to answer.
    Read,
}

/// Functions of SQL that answer and do nothing else.
const ANSWERS: &[&str] = &[
    "COUNT",
    "SUM",
    "AVG",
    "MIN",
    "MAX",
    "COALESCE",
    "NULLIF",
    "LENGTH",
    "LOWER",
    "UPPER",
    "TRIM",
    "ROUND",
    "ABS",
    "NOW",
    "DATE",
    "DATE_TRUNC",
    "DATE_PART",
    "EXTRACT",
    "TO_CHAR",
    "CAST",
    "CONCAT",
    "SUBSTR",
    "SUBSTRING",
    "REPLACE",
    "VERSION",
    "DATABASE",
    "CURRENT_DATABASE",
    "CURRENT_SETTING",
    "PG_SIZE_PRETTY",
    "PG_DATABASE_SIZE",
    "PG_TOTAL_RELATION_SIZE",
    "PG_RELATION_SIZE",
    "PG_TABLE_SIZE",
    "PG_IS_IN_RECOVERY",
    "ROW_NUMBER",
    "RANK",
    "IFNULL",
    "IF",
    "DATE_SUB",
    "DATE_ADD",
    "GROUP_CONCAT",
    "STRING_AGG",
    "ARRAY_AGG",
    "JSON_EXTRACT",
    "IN",
    "VALUES",
    "AND",
    "OR",
    "NOT",
    "EXISTS",
    "FROM",
    "JOIN",
    "ON",
    "WHERE",
    "AS",
    "BY",
    "OVER",
    "SELECT",
    "UNION",
    "ALL",
    "ANY",
    "EXCEPT",
    "INTERSECT",
    "FILTER",
    "=",
    "(",
    "?",
    "WITH",
    "USING",
    "INTERVAL",
];

/// Words of each statement, in upper case, without comments and literals.
fn statements(text: &str) -> Vec<Vec<String>> {
    let mut clean = String::with_capacity(text.len());
    let bytes: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < bytes.len() {
        let char = bytes[at];
        let next = bytes.get(at + 1).copied();
        match (char, next) {
            ('-', Some('-')) | ('#', _) => {
                while at < bytes.len() && bytes[at] != '\n' {
                    at += 1;
                }
            }
            // MySQL runs what stands in `/*! … */`.
            ('/', Some('*')) if bytes.get(at + 2) == Some(&'!') => {
                at += 3;
                while bytes.get(at).is_some_and(char::is_ascii_digit) {
                    at += 1;
                }
                clean.push(' ');
            }
            ('/', Some('*')) => {
                at += 2;
                while at < bytes.len() && !(bytes[at] == '*' && bytes.get(at + 1) == Some(&'/')) {
                    at += 1;
                }
                at += 2;
                clean.push(' ');
            }
            ('*', Some('/')) => at += 2,
            ('\'', _) => {
                at += 1;
                while at < bytes.len() && bytes[at] != '\'' {
                    at += if bytes[at] == '\\' { 2 } else { 1 };
                }
                at += 1;
                clean.push_str(" ? ");
            }
            ('"' | '`', _) => {
                at += 1;
                while at < bytes.len() && bytes[at] != char {
                    at += 1;
                }
                at += 1;
                clean.push_str(" NAME ");
            }
            (char, _) => {
                clean.push(char.to_ascii_uppercase());
                at += 1;
            }
        }
    }
    let word =
        |char: char| char.is_alphanumeric() || matches!(char, '_' | '?' | '=' | '.' | '(' | ')');
    let split = |statement: &str| {
        let spaced = statement.replace('=', " = ").replace('(', " ( ").replace(')', " ) ");
        spaced
            .split(|char| !word(char))
            .filter(|w| !w.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    clean.split(';').map(split).filter(|words| !words.is_empty()).collect()
}

/// Whether some statement of the text is of the class, and for [`Class::Read`] every one.
pub fn has(text: &str, class: Class) -> bool {
    if class == Class::Read {
        return !text.contains('\\') && statements(text).iter().all(|words| only_asks(words));
    }
    statements(text).iter().any(|words| is(words, class))
}

fn only_asks(words: &[String]) -> bool {
    let head = words.first().map_or("", String::as_str);
    let asks = match head {
        "SELECT" | "SHOW" | "DESCRIBE" | "DESC" | "TABLE" | "VALUES" => true,
        "EXPLAIN" => !words.iter().any(|word| word == "ANALYZE"),
        _ => false,
    };
    let calls = words.windows(2).filter(|pair| pair[1] == "(").map(|pair| pair[0].as_str());
    let keeps = |word: &String| {
        !matches!(
            word.as_str(),
            "INTO" | "UPDATE" | "DELETE" | "INSERT" | "LOCK" | "OUTFILE" | "PROCEDURE" | "CALL"
        )
    };
    asks && words.iter().all(keeps) && calls.into_iter().all(|name| ANSWERS.contains(&name))
}

fn is(words: &[String], class: Class) -> bool {
    let words: Vec<&str> =
        words.iter().map(String::as_str).filter(|word| !matches!(*word, "(" | ")")).collect();
    let head = |at: usize| words.get(at).copied().unwrap_or_default();
    // `EXPLAIN DELETE …` changes nothing, unless it is told to run.
    if matches!(head(0), "EXPLAIN" | "DESCRIBE" | "DESC" | "SHOW" | "HELP")
        && !words.contains(&"ANALYZE")
    {
        return false;
    }
    // Common table expressions, and what begins a block, come before the verb.
    let prefixed = matches!(
        head(0),
        "WITH"
            | "BEGIN"
            | "DO"
            | "EXPLAIN"
            | "EXECUTE"
            | "PREPARE"
            | "DECLARE"
            | "IF"
            | "START"
            | "SET"
            | "COMMIT"
    );
    let begins = |verb: &str| head(0) == verb || prefixed && words.contains(&verb);
    match class {
        Class::Drop => {
            begins("DROP")
                || begins("ALTER") && words.contains(&"DROP")
                || begins("DETACH")
                || begins("RENAME")
        }
        Class::Truncate => begins("TRUNCATE") || begins("ALTER") && words.contains(&"TRUNCATE"),
        Class::DeleteAll => {
            (begins("DELETE") || begins("ALTER") && words.contains(&"DELETE")) && unbounded(&words)
        }
        Class::UpdateAll => begins("UPDATE") && unbounded(&words),
        Class::Rights => {
            matches!(head(0), "GRANT" | "REVOKE" | "REASSIGN")
                || matches!(head(0), "CREATE" | "ALTER" | "DROP" | "RENAME")
                    && words.iter().take(3).any(|w| matches!(*w, "USER" | "ROLE" | "LOGIN"))
                || head(0) == "SET" && words.iter().take(3).any(|w| *w == "PASSWORD")
        }
        Class::Server => {
            let pairs = words.windows(2);
            let mut copies = pairs.clone().filter(|pair| {
                matches!(pair, ["TO" | "FROM", "PROGRAM"] | ["INTO", "OUTFILE" | "DUMPFILE"])
            });
            copies.next().is_some()
                || begins("COPY")
                    && words.windows(2).any(|pair| matches!(pair, ["TO", "?"] | ["FROM", "?"]))
                || words.iter().any(|word| {
                    matches!(
                        *word,
                        "XP_CMDSHELL"
                            | "LOAD_FILE"
                            | "PG_READ_FILE"
                            | "PG_READ_BINARY_FILE"
                            | "LO_EXPORT"
                            | "LO_IMPORT"
                            | "SYS_EXEC"
                            | "SYS_EVAL"
                            | "LOAD_EXTENSION"
                            | "PG_WRITE_FILE"
                            | "PLPYTHONU"
                            | "PLPYTHON3U"
                            | "PLPERLU"
                            | "PLSH"
                    )
                })
                || head(0) == "LOAD"
                || head(0) == "ALTER" && head(1) == "SYSTEM"
        }
        Class::Admin => {
            matches!(
                head(0),
                "KILL"
                    | "SHUTDOWN"
                    | "PURGE"
                    | "FLUSH"
                    | "RESET"
                    | "FLUSHALL"
                    | "FLUSHDB"
                    | "STOP"
                    | "CHANGE"
                    | "DETACH"
                    | "OPTIMIZE"
            ) || matches!(
                (head(0), head(1)),
                ("VACUUM", "FULL") | ("REINDEX", _) | ("SET", "GLOBAL") | ("SYSTEM", _)
            ) || words.iter().any(|word| {
                matches!(
                    *word,
                    "PG_TERMINATE_BACKEND"
                        | "PG_CANCEL_BACKEND"
                        | "PG_DROP_REPLICATION_SLOT"
                        | "PG_PROMOTE"
                        | "PG_RELOAD_CONF"
                )
            })
        }
        Class::Read => false,
        Class::Change => [
            "INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE", "ALTER", "CREATE", "DROP",
            "TRUNCATE", "RENAME", "CALL", "EXECUTE", "DO", "GRANT", "REVOKE", "LOAD", "IMPORT",
            "COPY", "VACUUM", "REINDEX", "ATTACH",
        ]
        .iter()
        .any(|verb| begins(verb)),
    }
}

/// No `WHERE`, or one that holds for every row.
fn unbounded(words: &[&str]) -> bool {
    let Some(at) = words.iter().position(|word| *word == "WHERE") else {
        return !words.contains(&"LIMIT") || words.contains(&"DELETE");
    };
    match &words[at + 1..] {
        [] | ["TRUE"] | ["1"] => true,
        [a, "=", b] => a == b && *a != "?" || *a == "?" && *b == "?",
        rest => {
            rest.windows(4).any(|w| matches!(w, ["OR", a, "=", b] if a == b))
                || rest.windows(2).any(|w| matches!(w, ["OR", "TRUE" | "1"]))
        }
    }
}

/// Lines that a database's shell gives to the system's: `\! ls`, `.shell ls`, `system ls`.
pub fn shell_escapes(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        for mark in ["\\!", ".shell ", ".system ", "system ", "\\copy "] {
            let Some(at) = line.find(mark).filter(|at| *at == 0 || mark.starts_with('\\')) else {
                continue;
            };
            let rest = line[at + mark.len()..].trim();
            let rest = match (mark, rest.to_ascii_lowercase().find("program ")) {
                ("\\copy ", Some(at)) => rest[at + 8..].trim_matches(['\'', '"', ' ']),
                ("\\copy ", None) => continue,
                _ => rest,
            };
            lines.push(rest.to_owned());
        }
        // `\o |cmd`, `\g |cmd`, `\i file`.
        if line.starts_with('\\')
            && let Some((_, command)) = line.split_once('|')
        {
            lines.push(command.trim().to_owned());
        }
    }
    lines
}
