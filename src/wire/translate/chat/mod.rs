//! Chat Completions.

mod answers;
mod depth;
mod events;
mod read;
mod streams;
mod write;

pub(super) use read::{choice_word, effort, file_source};

use super::fields::{Shape, dropped, mapped, refused};
use super::form::{Form, Names, Provider};
use crate::wire::Endpoint;

pub(super) static FORM: Form = Form {
    endpoint: Endpoint::Chat,
    path: "/chat/completions",
    title: "Chat Completions",
    shapes: &[
        BODY,
        STREAM_OPTIONS,
        MESSAGE,
        PART,
        IMAGE,
        FILE,
        CALL,
        CALLED,
        TOOL,
        FUNCTION,
        CHOICE,
        FORMAT,
        SCHEMA,
    ],
    names: &Names {
        turns: "messages",
        schema: "tools.function.parameters",
        strict: "tools.function.strict",
        choice: "tool_choice",
        max_output: "max_completion_tokens",
        temperature: "temperature",
        top_p: "top_p",
        stops: "stop",
        format: "response_format",
        effort: "reasoning_effort",
        thinking: "reasoning_effort",
        image: "messages.content.image_url",
        detail: "messages.content.image_url.detail",
        document: "messages.content.file",
        cached: "messages.content.prompt_cache_breakpoint",
        prefills: false,
    },
    read: read::read,
    answers: answers::whole,
    streams: streams::stream,
    provider: Some(Provider { write: write::write, read: events::read_whole, events: events::reader }),
};

const OTHER_MODEL: &str = "another API's models have nothing like it";
const HINT: &str = "a hint";

pub(super) const BODY: Shape = Shape {
    path: "",
    fields: &[
        mapped("model", "the model's name, or what the flag chose"),
        mapped("messages", "the system prompt and the turns"),
        mapped(
            "max_completion_tokens",
            "the most tokens of the answer; absent: the most that the model writes",
        ),
        mapped("max_tokens", "the same, where `max_completion_tokens` is absent"),
        mapped("temperature", "at most 1; not where the model takes none or thinks"),
        mapped("top_p", "only without a `temperature`; not where the model takes none or thinks"),
        mapped("stop", "stop sequences; of white space only is a 400"),
        mapped("stream", "the same"),
        mapped("stream_options", "see below"),
        mapped("tools", "functions; other tools are a 400"),
        mapped("tool_choice", "the same"),
        mapped("parallel_tool_calls", "whether one answer may call several tools"),
        mapped(
            "response_format",
            "the JSON schema; `json_object` becomes an instruction, and is named as dropped",
        ),
        mapped("reasoning_effort", "the effort; whether the model thinks"),
        mapped("safety_identifier", "the user's id; a long one becomes its digest"),
        mapped("user", "the same, where `safety_identifier` is absent"),
        refused("n", "only one answer can be made; leave n out").idle(&["1"]),
        refused("logprobs", OTHER_MODEL).idle(&["false"]),
        refused("top_logprobs", OTHER_MODEL).idle(&["0"]),
        refused("logit_bias", OTHER_MODEL).idle(&["{}"]),
        refused("modalities", "answers are text").idle(&["[\"text\"]"]),
        refused("audio", "answers are text"),
        refused("prediction", OTHER_MODEL),
        refused("web_search_options", "the search is run by the provider itself"),
        refused("moderation", "the check is run by the provider itself"),
        refused("functions", "an old name; send tools").idle(&["[]"]),
        refused("function_call", "an old name; send tool_choice").idle(&["\"auto\"", "\"none\""]),
        dropped("seed", OTHER_MODEL),
        dropped("frequency_penalty", OTHER_MODEL).idle(&["0", "0.0"]),
        dropped("presence_penalty", OTHER_MODEL).idle(&["0", "0.0"]),
        dropped("store", "the answer is not kept").idle(&["false"]),
        dropped("metadata", "belongs to answers that are kept").idle(&["{}"]),
        dropped("verbosity", HINT).idle(&["\"medium\""]),
        dropped("service_tier", "each provider has its own").idle(&["\"auto\"", "\"default\""]),
        dropped("prompt_cache_key", HINT),
        dropped("prompt_cache_options", HINT),
        dropped("prompt_cache_retention", HINT),
    ],
};

const STREAM_OPTIONS: Shape = Shape {
    path: "stream_options",
    fields: &[
        mapped("stream_options.include_usage", "whether the stream ends with its usage"),
        dropped("stream_options.include_obfuscation", "events are not padded").idle(&["false"]),
    ],
};

const MESSAGE: Shape = Shape {
    path: "messages",
    fields: &[
        mapped(
            "messages.role",
            "leading `system` and `developer` the system prompt, later ones a marked text of the user's",
        ),
        mapped("messages.content", "see below; empty text is left out"),
        mapped("messages.tool_calls", "the calls of an assistant's turn"),
        mapped("messages.tool_call_id", "whose result it is"),
        mapped("messages.refusal", "text"),
        dropped("messages.name", "who of several speaks"),
        dropped("messages.audio", "the text stays"),
        dropped("messages.annotations", "of an earlier answer").idle(&["[]"]),
        dropped("messages.reasoning_content", "reasoning is its own model's"),
        dropped("messages.reasoning", "reasoning is its own model's"),
        refused("messages.function_call", "an old name; send tool_calls"),
    ],
};

const PART: Shape = Shape {
    path: "messages.content",
    fields: &[
        mapped("messages.content.type", "`text`, `image_url`, `file`, `refusal`; others are a 400"),
        mapped("messages.content.text", "text"),
        mapped("messages.content.refusal", "text"),
        mapped("messages.content.image_url", "an image, here or by its URL"),
        mapped("messages.content.file", "a document"),
        mapped("messages.content.prompt_cache_breakpoint", "a cache may end here; the last four of them"),
        mapped("messages.content.cache_control", "the same, where a client sends it"),
        refused("messages.content.input_audio", "the model reads no sound"),
    ],
};

const IMAGE: Shape = Shape {
    path: "messages.content.image_url",
    fields: &[
        mapped("messages.content.image_url.url", "a data URL or another one"),
        mapped("messages.content.image_url.detail", "the same in OpenAI's APIs; elsewhere named as dropped"),
    ],
};

const FILE: Shape = Shape {
    path: "messages.content.file",
    fields: &[
        mapped("messages.content.file.file_data", "a PDF"),
        mapped("messages.content.file.filename", "its title"),
        refused("messages.content.file.file_id", "the file is stored at another provider; send file_data"),
    ],
};

const CALL: Shape = Shape {
    path: "messages.tool_calls",
    fields: &[
        mapped(
            "messages.tool_calls.id",
            "the same, where the other API takes its letters; else always the same other one",
        ),
        mapped("messages.tool_calls.type", "`function`; others are a 400"),
        mapped("messages.tool_calls.function", "see below"),
        mapped("messages.tool_calls.index", "the order stays"),
        refused("messages.tool_calls.custom", "its input is no JSON"),
    ],
};

const CALLED: Shape = Shape {
    path: "messages.tool_calls.function",
    fields: &[
        mapped("messages.tool_calls.function.name", "the same"),
        mapped(
            "messages.tool_calls.function.arguments",
            "the object that the text is; none where it is empty",
        ),
    ],
};

const TOOL: Shape = Shape {
    path: "tools",
    fields: &[
        mapped("tools.type", "`function`; others are a 400"),
        mapped("tools.function", "see below"),
        refused("tools.custom", "its input is no JSON"),
    ],
};

const FUNCTION: Shape = Shape {
    path: "tools.function",
    fields: &[
        mapped("tools.function.name", "the same"),
        mapped("tools.function.description", "the same"),
        mapped("tools.function.parameters", "the schema, of type `object`; absent: no properties"),
        mapped("tools.function.strict", "the same"),
    ],
};

const CHOICE: Shape = Shape {
    path: "tool_choice",
    fields: &[
        mapped("tool_choice.type", "`function`; others are a 400"),
        mapped("tool_choice.function", "the tool's name"),
        refused("tool_choice.custom", "its input is no JSON"),
        refused("tool_choice.allowed_tools", "send only the tools that are allowed"),
    ],
};

const FORMAT: Shape = Shape {
    path: "response_format",
    fields: &[
        mapped("response_format.type", "`text`, `json_schema`, `json_object`"),
        mapped("response_format.json_schema", "see below"),
    ],
};

const SCHEMA: Shape = Shape {
    path: "response_format.json_schema",
    fields: &[
        mapped("response_format.json_schema.schema", "the same"),
        mapped("response_format.json_schema.strict", "always so"),
        mapped(
            "response_format.json_schema.name",
            "the same in OpenAI's APIs; elsewhere a format has no name",
        ),
        dropped("response_format.json_schema.description", HINT),
    ],
};
