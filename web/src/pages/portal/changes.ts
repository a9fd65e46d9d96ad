// The words for what the history's rows say was done to what. The daemon's document lists what there
// is, so that a kind or an action without a word does not pass the check of types.
import type { Schema } from '../../api/client';

export type Entry = Schema<'HistoryEntry'>;

const verbs: Record<Entry['action'], string> = {
  create: 'made', update: 'changed', delete: 'removed', restore: 'restored',
};
const things: Record<Entry['kind'], string> = {
  organization: 'the organization', members: 'the members', key: 'API key', tenant_token: 'tenant token',
  ai_credential: 'key at model provider', invitation: 'invitation', billing: 'what is paid for', project: 'project',
  other: 'record',
};
// What is told otherwise: an invitation that is gone was used, or withdrawn.
const told: Partial<Record<`${Entry['action']} ${Entry['kind']}`, string>> = {
  'delete invitation': 'used or withdrew',
  'create members': 'was the first of',
};

export interface Words {
  verb: string;
  thing: string;
  // The name that the thing has, or else its id; '' where there is but one.
  name: string;
  isId: boolean;
}

// A subject is a thing, or a thing and its id: "keys:01a2". The id of a key at a provider is the
// provider's name.
export function wordsOfChange(entry: Pick<Entry, 'action' | 'kind' | 'subject' | 'thing'>): Words {
  const { action, kind, subject, thing } = entry;
  const mark = subject.indexOf(':');
  const id = mark < 0 ? '' : subject.slice(mark + 1);
  return {
    verb: told[`${action} ${kind}`] ?? verbs[action] ?? action,
    thing: things[kind] ?? kind,
    name: kind === 'organization' ? '' : thing ?? id,
    isId: thing === null && id !== '' && kind !== 'ai_credential',
  };
}

// Who did it: a person or a key by name, an operator's key, or the daemon itself.
export function wordsOfActor({ name, actor }: Pick<Entry, 'name' | 'actor'>): { text: string; id: string } {
  const mark = actor.indexOf(':');
  const kind = mark < 0 ? actor : actor.slice(0, mark);
  const id = mark < 0 ? '' : actor.slice(mark + 1);
  if (name !== null) return { text: kind === 'projectkey' ? `the key ${name}` : name, id: '' };
  const words: Record<string, string> = {
    person: 'somebody who has left', projectkey: 'a key that is gone', adminkey: 'an operator’s key',
    kvcs: 'the daemon', job: 'the daemon', reseal: 'the daemon', start: 'the daemon', 'first-start': 'the first start',
    'setup-link': 'the setup link', invitation: 'an invitation', 'reset-link': 'a link for a new password',
    'sign-in': 'a sign-in elsewhere', bearer: 'a sign-in elsewhere', configuration: 'the configuration',
    'seeded-keys': 'the configuration',
  };
  return { text: words[kind] ?? actor, id: words[kind] === undefined ? '' : id };
}
