// The words for what the history's rows say was done to what.
const verbs: Record<string, string> = { create: 'made', put: 'changed', update: 'changed', delete: 'removed' };
const things: Record<string, string> = {
  config: 'the organization', members: 'the members', keys: 'key', invitation: 'invitation', project: 'project',
};

// A subject is a thing, or a thing and its id: "keys:01a2". What has no word here is told as it is.
export function wordsOfChange({ action, subject }: { action: string; subject: string }): { verb: string; thing: string; id: string } {
  const mark = subject.indexOf(':');
  const kind = mark < 0 ? subject : subject.slice(0, mark);
  return { verb: verbs[action] ?? action, thing: things[kind] ?? kind, id: mark < 0 ? '' : subject.slice(mark + 1) };
}
