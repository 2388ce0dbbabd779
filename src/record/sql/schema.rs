//! The tables, as numbered steps that are each taken once. docs/records.md says what the columns mean.
//!
//! Both databases understand these statements; SQLite reads the types as its own kinds. A step that was released is never
//! changed: what is new is a new step.

/// All steps, oldest first. What SQLite alone understands is taken out for PostgreSQL: [`BY_KEY`].
pub(in crate::record) const STEPS: &[&str] = &[FIRST];

/// What this dimmer knows.
pub(in crate::record) const VERSION: i64 = STEPS.len() as i64;

const FIRST: &str = "
CREATE TABLE exposures (
    request_id TEXT NOT NULL PRIMARY KEY, at_us BIGINT NOT NULL, route TEXT NOT NULL, client TEXT NOT NULL,
    endpoint TEXT NOT NULL, stream BOOLEAN NOT NULL, user_id TEXT, conversation TEXT, asked TEXT NOT NULL,
    served TEXT NOT NULL, reply BOOLEAN NOT NULL, answered TEXT, answer_id TEXT, provider TEXT NOT NULL, fallback TEXT,
    outcome TEXT NOT NULL, cause TEXT, status BIGINT NOT NULL, took_us BIGINT NOT NULL, first_token_us BIGINT,
    input_tokens BIGINT, cached_tokens BIGINT, cache_write_tokens BIGINT, output_tokens BIGINT, reasoning_tokens BIGINT,
    cost_pico_usd BIGINT, output_chars BIGINT, output_words BIGINT, json_valid BOOLEAN, refused BOOLEAN NOT NULL,
    tries BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX exposures_by_time ON exposures (at_us, request_id);
CREATE INDEX exposures_by_route ON exposures (route, at_us, request_id);
CREATE INDEX exposures_by_answer ON exposures (answer_id);
CREATE INDEX exposures_by_user ON exposures (user_id);
CREATE TABLE exposure_flags (
    request_id TEXT NOT NULL, flag TEXT NOT NULL, place BIGINT NOT NULL, at_us BIGINT NOT NULL, variant TEXT NOT NULL,
    rule TEXT, passed TEXT, reason TEXT NOT NULL, unit TEXT, served TEXT, tried BOOLEAN NOT NULL, pinned_apart BOOLEAN NOT NULL,
    outcome TEXT NOT NULL, output_chars BIGINT, json_valid BOOLEAN, PRIMARY KEY (request_id, flag)
) WITHOUT ROWID;
CREATE INDEX exposure_flags_by_flag ON exposure_flags (flag, at_us, request_id);
CREATE TABLE feedback (
    names TEXT NOT NULL, id TEXT NOT NULL, client TEXT NOT NULL, name TEXT NOT NULL, value DOUBLE PRECISION NOT NULL,
    at_us BIGINT NOT NULL, judge TEXT, PRIMARY KEY (names, id, client, name)
);
CREATE INDEX feedback_by_time ON feedback (at_us);
CREATE TABLE shadow_attempts (
    request_id TEXT NOT NULL, shadow TEXT NOT NULL, step BIGINT NOT NULL, route TEXT NOT NULL, at_us BIGINT NOT NULL,
    outcome TEXT, cause TEXT, model TEXT NOT NULL, primary_model TEXT NOT NULL, cost_pico_usd BIGINT,
    primary_ok BOOLEAN, primary_took_us BIGINT, primary_first_token_us BIGINT, primary_input_tokens BIGINT,
    primary_cached_tokens BIGINT, primary_cache_write_tokens BIGINT, primary_output_tokens BIGINT,
    primary_reasoning_tokens BIGINT, primary_cost_pico_usd BIGINT, primary_output_chars BIGINT,
    primary_output_words BIGINT, primary_json_valid BOOLEAN, primary_schema_valid BOOLEAN, primary_refused BOOLEAN,
    primary_tool_calls BIGINT, primary_cut_by_length BOOLEAN,
    candidate_ok BOOLEAN, candidate_took_us BIGINT, candidate_first_token_us BIGINT, candidate_input_tokens BIGINT,
    candidate_cached_tokens BIGINT, candidate_cache_write_tokens BIGINT, candidate_output_tokens BIGINT,
    candidate_reasoning_tokens BIGINT, candidate_cost_pico_usd BIGINT, candidate_output_chars BIGINT,
    candidate_output_words BIGINT, candidate_json_valid BOOLEAN, candidate_schema_valid BOOLEAN,
    candidate_refused BOOLEAN, candidate_tool_calls BIGINT, candidate_cut_by_length BOOLEAN,
    compared BOOLEAN NOT NULL, similarity DOUBLE PRECISION, same_tools BOOLEAN, same_arguments BOOLEAN,
    PRIMARY KEY (request_id, shadow, step)
);
CREATE INDEX shadow_attempts_by_time ON shadow_attempts (at_us, request_id, shadow);
CREATE INDEX shadow_attempts_by_route ON shadow_attempts (route, shadow, at_us);
CREATE TABLE verdicts (
    request_id TEXT NOT NULL, shadow TEXT NOT NULL, judge TEXT NOT NULL, route TEXT NOT NULL, at_us BIGINT NOT NULL,
    caller_first DOUBLE PRECISION, candidate_first DOUBLE PRECISION, cost_pico_usd BIGINT,
    PRIMARY KEY (request_id, shadow, judge)
);
CREATE INDEX verdicts_by_time ON verdicts (at_us, request_id, shadow);
CREATE TABLE bodies (
    request_id TEXT NOT NULL, part TEXT NOT NULL, at_us BIGINT NOT NULL, cut BOOLEAN NOT NULL, bytes BYTEA NOT NULL,
    PRIMARY KEY (request_id, part)
);
CREATE INDEX bodies_by_time ON bodies (at_us);
";

/// SQLite keeps such a table in the tree of its key, which spares each row another tree.
pub(in crate::record) const BY_KEY: &str = " WITHOUT ROWID";

/// The tables, for who looks at each in turn: its name and what tells its rows apart.
pub(in crate::record) const TABLES: [(&str, &str); 6] = [
    ("exposures", "request_id"),
    ("exposure_flags", "request_id, flag"),
    ("feedback", "names, id, client, name"),
    ("shadow_attempts", "request_id, shadow, step"),
    ("verdicts", "request_id, shadow, judge"),
    ("bodies", "request_id, part"),
];
