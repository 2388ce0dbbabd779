//! Messages.

mod answers;
mod events;
mod read;
mod streams;
mod write;

use super::fields::{Shape, dropped, mapped, refused};
use super::form::{Form, Names, Provider};
use crate::wire::Endpoint;

pub(super) static FORM: Form = Form {
    endpoint: Endpoint::Messages,
    path: "/messages",
    title: "Messages",
    shapes: &[BODY, METADATA, OUTPUT, FORMAT, THINKING, SYSTEM, MESSAGE, BLOCK, SOURCE, TOOL, CHOICE],
    names: &Names {
        turns: "messages",
        schema: "tools.input_schema",
        strict: "tools.strict",
        choice: "tool_choice",
        max_output: "max_tokens",
        temperature: "temperature",
        top_p: "top_p",
        stops: "stop_sequences",
        format: "output_config.format",
        effort: "output_config.effort",
        thinking: "thinking",
        image: "messages.content.source",
        detail: "messages.content.source",
        document: "messages.content.source",
        cached: "cache_control",
        prefills: true,
    },
    read: read::read,
    answers: answers::whole,
    streams: streams::stream,
    provider: Some(Provider { write: write::write, read: events::read_whole, events: events::reader }),
};

const OTHER_MODEL: &str = "another API's models have nothing like it";
const HINT: &str = "a hint";
const SERVER: &str = "it is run by the provider itself";

pub(super) const BODY: Shape = Shape {
    path: "",
    fields: &[
        mapped("model", "the model's name, or what the flag chose"),
        mapped("max_tokens", "the most tokens of the answer; no more than the model writes"),
        mapped("system", "the system prompt; its blocks are joined by an empty line"),
        mapped("messages", "the turns; a last one of the assistant's is a 400"),
        mapped("temperature", "the same; not where the model takes none"),
        mapped("top_p", "the same; not where the model takes none"),
        mapped("stop_sequences", "at most four"),
        mapped("stream", "the same"),
        mapped("tools", "functions; tools of the provider's own are a 400"),
        mapped("tool_choice", "the same"),
        mapped("output_config", "see below"),
        mapped("thinking", "the effort, where `output_config` names none"),
        mapped("metadata", "see below"),
        mapped("thread", "a 400 that the SDKs recover from: they send the conversation whole"),
        refused("mcp_servers", SERVER).idle(&["[]"]),
        refused("container", SERVER),
        refused("compaction", "it is the provider itself that shortens the conversation"),
        refused("fallbacks", "whom to ask instead is for the configuration to say").idle(&["[]"]),
        refused("safeguards", "another provider does not know them"),
        refused("user_profile_id", "it is stored at another provider"),
        refused("workspace_id", "it is stored at another provider"),
        dropped("context_management", "the conversation crosses whole").idle(&["{}", "{\"edits\":[]}"]),
        dropped("top_k", OTHER_MODEL),
        dropped("cache_control", HINT),
        dropped("service_tier", "each provider has its own").idle(&["\"auto\""]),
        dropped("speed", "each provider has its own").idle(&["\"standard\""]),
        dropped("inference_geo", "the configuration says which provider is asked"),
        dropped("diagnostics", HINT),
        dropped("billing_policy", "each provider has its own"),
        dropped("fallback_credit_token", "belongs to one provider"),
    ],
};

const METADATA: Shape = Shape {
    path: "metadata",
    fields: &[mapped("metadata.user_id", "the user's id; over 64 bytes its digest")],
};

const OUTPUT: Shape = Shape {
    path: "output_config",
    fields: &[
        mapped("output_config.effort", "the effort; not where the model does not reason"),
        mapped("output_config.format", "see below"),
        dropped("output_config.task_budget", HINT),
    ],
};

const FORMAT: Shape = Shape {
    path: "output_config.format",
    fields: &[
        mapped("output_config.format.type", "`json_schema`"),
        mapped("output_config.format.schema", "the same, strict, under the name `answer`"),
    ],
};

const THINKING: Shape = Shape {
    path: "thinking",
    fields: &[
        mapped("thinking.type", "`disabled` the effort `none`; `adaptive` what the model does by itself"),
        mapped("thinking.budget_tokens", "the effort: up to 4096 low, up to 16384 medium, above high"),
        dropped("thinking.display", "what was thought is not shown").idle(&["\"omitted\""]),
    ],
};

const SYSTEM: Shape = Shape {
    path: "system",
    fields: &[
        mapped("system.type", "`text`"),
        mapped("system.text", "text"),
        mapped("system.cache_control", "named as dropped: `cache_control`"),
        dropped("system.citations", OTHER_MODEL),
    ],
};

const MESSAGE: Shape = Shape {
    path: "messages",
    fields: &[
        mapped("messages.role", "`user`, `assistant`, `system`"),
        mapped("messages.content", "see below"),
    ],
};

const BLOCK: Shape = Shape {
    path: "messages.content",
    fields: &[
        mapped(
            "messages.content.type",
            "`text`, `image`, `document`, `search_result`, `tool_use`, `tool_result`; reasoning is dropped, others are a 400",
        ),
        mapped("messages.content.text", "text; that of an assistant's blocks is joined"),
        mapped(
            "messages.content.source",
            "an image, here or by its URL; a PDF, here; a document of text becomes text; of a search result a line of its text",
        ),
        mapped("messages.content.title", "a document's file name; of a search result a line of its text"),
        mapped(
            "messages.content.content",
            "what a tool gave: text in the tool's message, images and documents in the user's that follows",
        ),
        mapped(
            "messages.content.id",
            "the same, where the other API takes it; else always the same other one",
        ),
        mapped("messages.content.name", "the tool's name"),
        mapped("messages.content.input", "the object as text"),
        mapped("messages.content.tool_use_id", "whose result it is"),
        mapped("messages.content.is_error", "`Error: ` before the text"),
        mapped("messages.content.cache_control", "named as dropped: `cache_control`"),
        mapped("messages.content.thinking", "named as dropped: `reasoning`"),
        mapped("messages.content.signature", "named as dropped: `reasoning`"),
        mapped("messages.content.data", "named as dropped: `reasoning`"),
        dropped("messages.content.citations", OTHER_MODEL).idle(&["[]", "{\"enabled\":false}"]),
        dropped("messages.content.context", HINT),
        dropped("messages.content.caller", "tools are called by the model").idle(&["{\"type\":\"direct\"}"]),
        dropped("messages.content.transformations", HINT),
        refused("messages.content.toolset_name", SERVER),
    ],
};

const SOURCE: Shape = Shape {
    path: "messages.content.source",
    fields: &[
        mapped("messages.content.source.type", "`base64`, `url`, `text`, `content`; `file` is a 400"),
        mapped("messages.content.source.media_type", "the data URL's"),
        mapped("messages.content.source.data", "the data URL's"),
        mapped("messages.content.source.url", "the same; a document's is a 400"),
        mapped("messages.content.source.content", "text and images"),
        refused("messages.content.source.file_id", "the file is stored at another provider; send its data"),
    ],
};

const TOOL: Shape = Shape {
    path: "tools",
    fields: &[
        mapped("tools.type", "`custom`; others are a 400"),
        mapped("tools.name", "the same"),
        mapped("tools.description", "the same"),
        mapped("tools.input_schema", "the parameters"),
        mapped("tools.strict", "the same"),
        mapped("tools.cache_control", "named as dropped: `cache_control`"),
        dropped("tools.input_examples", HINT).idle(&["[]"]),
        dropped("tools.eager_input_streaming", HINT).idle(&["false"]),
        dropped("tools.defer_loading", "all tools are told at once").idle(&["false"]),
        dropped("tools.allowed_callers", "tools are called by the model").idle(&["[\"direct\"]"]),
    ],
};

const CHOICE: Shape = Shape {
    path: "tool_choice",
    fields: &[
        mapped("tool_choice.type", "`auto`, `any`, `tool`, `none`"),
        mapped("tool_choice.name", "the tool's name"),
        mapped("tool_choice.disable_parallel_tool_use", "one call at a time"),
    ],
};
