//! The error replies of Redis, and what they say about its state.
//!
//! Policy: an error reply is a state of the server, not of one command, unless its code says otherwise: a server that refuses one write
//! refuses the next one as well. So it takes the connection down, with the reason and a remedy for the operator.

use std::fmt;

use redis::RedisError;

/// An error that Redis has sent as an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorReply {
    code: String,
    detail: String,
}

impl ErrorReply {
    /// The error reply in an error of the client library; the first one of a pipeline. `None` if Redis did not send it.
    pub(super) fn of(error: &RedisError) -> Option<Self> {
        if let Some(replies) = error.clone().into_server_errors() {
            let (_, reply) = replies.first()?;
            return Some(Self {
                code: reply.code().to_owned(),
                detail: reply.details().unwrap_or_default().to_owned(),
            });
        }
        let code = error.code()?.to_owned();
        Some(Self { code, detail: error.detail().unwrap_or_default().to_owned() })
    }

    /// Whether it is about one command or one key only, so that others may succeed.
    pub(super) fn is_about_one_command(&self) -> bool {
        ["ERR", "WRONGTYPE"].contains(&self.code.as_str())
    }

    /// Whether the server has no memory for the command. Commands that need none, such as DEL, are still executed.
    pub(super) fn is_out_of_memory(&self) -> bool {
        self.code == "OOM"
    }

    /// Whether the server is a replica: a new connection to the address may lead to another server.
    pub(super) fn is_role_change(&self) -> bool {
        ["READONLY", "MASTERDOWN"].contains(&self.code.as_str())
    }

    /// What an operator can do about it.
    fn remedy(&self) -> Option<&'static str> {
        Some(match self.code.as_str() {
            "READONLY" => "it is a replica: let redis.host or redis.url name the primary",
            "MASTERDOWN" => "it is a replica that has lost its primary: let redis.host or redis.url name the primary",
            "OOM" => "raise its maxmemory, or set its maxmemory-policy to allkeys-lru",
            "NOREPLICAS" => "it has fewer replicas than its min-replicas-to-write: start them, or lower that number",
            "LOADING" => "it is used as soon as it has loaded its data",
            "MISCONF" => "it cannot save its data: its log says why",
            "NOAUTH" | "WRONGPASS" => "correct redis.username and redis.password",
            "NOPERM" => "the user of redis.username needs GET, MGET, SET and DEL on keys that begin with attendance:",
            "CLUSTERDOWN" | "MOVED" | "ASK" | "CROSSSLOT" => {
                "it belongs to a cluster: use a Redis without cluster mode"
            }
            _ => return None,
        })
    }
}

impl fmt::Display for ErrorReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.detail.trim_end_matches('.'))?;
        match self.remedy() {
            Some(remedy) => write!(f, " ({remedy})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: &str) -> ErrorReply {
        ErrorReply { code: code.to_owned(), detail: "some words.".to_owned() }
    }

    #[test]
    fn an_error_reply_is_a_state_unless_it_is_about_one_key_or_command() {
        for code in ["READONLY", "OOM", "MASTERDOWN", "NOREPLICAS", "LOADING", "MISCONF", "NOAUTH", "NOPERM", "BUSY"] {
            assert!(!reply(code).is_about_one_command(), "{code}");
        }
        assert!(reply("WRONGTYPE").is_about_one_command() && reply("ERR").is_about_one_command());
    }

    #[test]
    fn the_text_has_the_code_the_words_of_redis_and_a_remedy() {
        assert_eq!(reply("MISCONF").to_string(), "MISCONF some words (it cannot save its data: its log says why)");
        assert_eq!(reply("BUSY").to_string(), "BUSY some words");
    }
}
