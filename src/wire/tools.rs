//! Tools taken out of a request, and everything in it that speaks of them.
//!
//! Serves the stage rewrite. A tool is meant by its name, by the label of its MCP server, or, where the provider runs
//! it, by its type. What was said before in the conversation stays: it happened.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use smallvec::SmallVec;

use super::Endpoint;
use super::edit::{Edits, ObjectEdit, Place, Splice, removal};
use super::json::{Span, elements, find, string_is};

/// The members that list tools.
const LISTS: [&str; 3] = ["tools", "functions", "mcp_servers"];

/// The items of a response's input that bring tools into the conversation.
const BRINGERS: [&str; 2] = ["additional_tools", "tool_search_output"];

/// Types that say how a tool is described or chosen, and not which one it is.
const NO_TOOLS: [&str; 7] = ["function", "custom", "tool", "auto", "any", "none", "allowed_tools"];

/// What is left of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// Everything that was there.
    All,
    /// Less than before.
    Some,
    /// Nothing of what was there.
    Nothing,
}

impl Edits<'_> {
    /// Takes the tools called `names` out. With the last tool goes what OpenAI refuses without tools; a choice of a tool
    /// that is gone goes, and leaves the model the choice. `tools.NAME`, and the names of other members that the app
    /// sent and that go out no more, are added to `dropped`. To be asked for before [`Edits::fit`].
    pub fn deny_tools(&mut self, names: &[Box<str>], dropped: &mut Vec<String>) {
        let mut denied: SmallVec<[&str; 4]> = SmallVec::new();
        for list in LISTS {
            let left = match self.top.place(&self.body, list) {
                Some(Place::Original(array)) => self.thin(array, names, &mut denied),
                _ => Left::All,
            };
            if left != Left::Nothing {
                continue;
            }
            self.top.drop(&self.body, list);
            let companions: &[&str] = match list {
                "tools" => &["tool_choice", "parallel_tool_calls"],
                "functions" => &["function_call"],
                _ => &[],
            };
            for name in companions {
                if self.top.drop(&self.body, name) {
                    dropped.push((*name).to_owned());
                }
            }
        }
        for list in self.item_lists() {
            if self.thin(list, names, &mut denied) == Left::Nothing {
                let inside = list.inside();
                self.within.push(Splice { start: inside.start, end: inside.end, with: Bytes::new() });
            }
        }
        self.deny_choice(names, dropped);
        dropped.extend(denied.iter().map(|name| format!("tools.{name}")));
    }

    /// The lists of the items of a response's input that bring tools themselves.
    fn item_lists(&self) -> SmallVec<[Span; 2]> {
        let input = self.view.value(&self.body, "input").filter(|_| self.view.endpoint().takes_items());
        let items = input.into_iter().flat_map(|input| elements(&self.body, input));
        let brings = |item: &Span| {
            let kind = find(&self.body, *item, "type");
            kind.is_some_and(|kind| BRINGERS.iter().any(|name| string_is(&self.body, kind, name)))
        };
        let items = items.map(|item| item.value).filter(brings);
        items.filter_map(|item| find(&self.body, item, "tools")).collect()
    }

    /// Takes the denied ones out of an array, unless nothing would be left of it: then the caller takes it out whole.
    fn thin<'n>(&mut self, array: Span, names: &'n [Box<str>], denied: &mut SmallVec<[&'n str; 4]>) -> Left {
        let mut left = self.thin_list(array, names, denied);
        for inner in self.namespaces(array, names) {
            if self.thin_list(inner, names, denied) != Left::All && left == Left::All {
                left = Left::Some;
            }
        }
        left
    }

    /// The same, without a look into namespaces.
    fn thin_list<'n>(
        &mut self,
        array: Span,
        names: &'n [Box<str>],
        denied: &mut SmallVec<[&'n str; 4]>,
    ) -> Left {
        let mut any_kept = false;
        let mut cuts = SmallVec::<[_; 4]>::new();
        let mut chunk_start = array.inside().start;
        for element in elements(&self.body, array) {
            let chunk = Span { start: chunk_start, end: element.end };
            chunk_start = element.end.saturating_add(1);
            let by_name = self.denied(element.value, names);
            denied.extend(by_name.filter(|name| !denied.contains(name)));
            if by_name.is_some() || self.loses_all(element.value, names) {
                let is_last = self.body.get(element.end) == Some(&b']');
                cuts.push(removal(chunk, any_kept, is_last));
            } else {
                any_kept = true;
            }
        }
        match (cuts.is_empty(), any_kept) {
            (true, _) => Left::All,
            (false, false) => Left::Nothing,
            (false, true) => {
                self.within.extend(cuts);
                Left::Some
            }
        }
    }

    /// The lists inside of namespaces (Responses) that are not denied as a whole.
    fn namespaces(&self, array: Span, names: &[Box<str>]) -> SmallVec<[Span; 2]> {
        elements(&self.body, array)
            .map(|element| element.value)
            .filter(|tool| self.denied(*tool, names).is_none())
            .filter_map(|tool| self.namespace(tool))
            .collect()
    }

    /// The tools of a namespace.
    fn namespace(&self, tool: Span) -> Option<Span> {
        let kind = find(&self.body, tool, "type")?;
        let is_namespace = string_is(&self.body, kind, "namespace");
        find(&self.body, tool, "tools").filter(|_| is_namespace)
    }

    /// A namespace all of whose tools are denied.
    fn loses_all(&self, tool: Span, names: &[Box<str>]) -> bool {
        let Some(inner) = self.namespace(tool) else { return false };
        let mut tools = elements(&self.body, inner).peekable();
        tools.peek().is_some() && tools.all(|tool| self.denied(tool.value, names).is_some())
    }

    /// The name under which a tool, or the choice of one, is denied.
    fn denied<'n>(&self, tool: Span, names: &'n [Box<str>]) -> Option<&'n str> {
        let field = |name| find(&self.body, tool, name);
        let inner = |name| find(&self.body, field(name)?, "name");
        let spellings: [_; 5] = [
            field("name"),
            inner("function"),
            inner("custom"),
            field("server_label"),
            field("mcp_server_name"),
        ];
        let kind = field("type").filter(|kind| !NO_TOOLS.iter().any(|no| string_is(&self.body, *kind, no)));
        let called = |said| names.iter().find(|name| string_is(&self.body, said, name));
        spellings.into_iter().chain([kind]).flatten().find_map(called).map(|name| &**name)
    }

    /// `tool_choice` and `function_call` where tools are left.
    fn deny_choice(&mut self, names: &[Box<str>], dropped: &mut Vec<String>) {
        if let Some(Place::Original(call)) = self.top.place(&self.body, "function_call")
            && self.denied(call, names).is_some()
        {
            self.top.drop(&self.body, "function_call");
            dropped.push("function_call".to_owned());
        }
        let Some(Place::Original(choice)) = self.top.place(&self.body, "tool_choice") else { return };
        let mut gone = self.denied(choice, names).is_some();
        let allowed = find(&self.body, choice, "tools").or_else(|| {
            let inner = find(&self.body, choice, "allowed_tools")?;
            find(&self.body, inner, "tools")
        });
        if let Some(allowed) = allowed {
            gone |= self.thin(allowed, names, &mut SmallVec::new()) == Left::Nothing;
        }
        if !gone {
            return;
        }
        if !self.free_choice(choice) {
            self.top.drop(&self.body, "tool_choice");
        }
        dropped.push("tool_choice".to_owned());
    }

    /// In Messages a choice may also say that calls come one by one, which holds for any tool: then the choice becomes
    /// `auto` where it stands.
    fn free_choice(&mut self, choice: Span) -> bool {
        let is_messages = matches!(self.view.endpoint(), Endpoint::Messages | Endpoint::CountTokens);
        let written = self.within.iter().any(|splice| splice.is_inside(choice));
        let Some(members) = self.members_of(choice).filter(|_| is_messages) else { return false };
        let says_more =
            members.iter().any(|member| !["type", "name"].iter().any(|name| member.is(&self.body, name)));
        if !(says_more || written) {
            return false;
        }
        let mut inside = ObjectEdit::new(choice.inside().start, &members);
        inside.set(&self.body, "type", Bytes::from_static(b"\"auto\""));
        inside.drop(&self.body, "name");
        inside.splices(&mut self.within);
        true
    }
}
