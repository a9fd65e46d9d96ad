// Everybody with an account on this appliance: operators among them, links for lost passwords.
import { useState } from 'preact/hooks';
import { api, type Schema } from '../../api/client';
import { useAction, usePages } from '../../api/query';
import { useMe } from '../../api/session';
import {
  Badge, Button, type Column, Confirm, counted, Dialog, Empty, ErrorBox, Menu, Page, Pager, Secret, State, Table, Time, toast, told, useSearch,
} from '../../ui';

type Person = Schema<'Person'>;
type Role = NonNullable<Person['operator_role']>;
const path = '/admin/people';
const roles: (Role | null)[] = ['owner', 'admin', 'viewer', 'billing', null];

// `before`: what Undo sets again.
function change({ person_id, name, email }: Person, to: Schema<'PersonChange'>, before: Schema<'PersonChange'>, text: string): Promise<boolean> {
  const set = (body: Schema<'PersonChange'>) => api.patch('/admin/people/{person_id}', { path: { person_id }, body });
  return told(`${name || email}: ${text}`, () => set(to), path, () => set(before));
}

export default function PeoplePage() {
  const me = useMe();
  const [link, setLink] = useState<{ url: string; until: string; title: string } | null>(null);
  const search = useSearch('Filter by name or address');
  const people = usePages<Person>(`${path}?${search.q ?? ''}`, async (cursor, signal) => {
    const page = await api.ask<Schema<'PersonPage'>>('get', path, { query: { limit: 100, cursor, q: search.q }, signal });
    return { rows: page.data.people, next: page.data.cursor };
  }, { idOf: (one) => one.person_id, pollMs: 30_000 });
  const makeLink = useAction(async (person: Person | null) => {
    if (person === null) {
      const made = await api.post('/admin/setup-link');
      setLink({ url: made.setup_url, until: made.expires_at, title: 'A link for another owner' });
      return;
    }
    const made = await api.post('/admin/people/{person_id}/reset-link', { path: { person_id: person.person_id } });
    setLink({ url: made.reset_url, until: made.expires_at, title: `A new password for ${person.name || person.email}` });
  });
  const [unlocked, setUnlocked] = useState<Person | null>(null);
  const owner = me?.operator_role === 'owner';
  const columns: Column<Person>[] = [
    { key: 'name', label: 'Name', cell: (one) => <span dir="auto">{one.name || one.email}{one.person_id === me?.person_id && <> <Badge>you</Badge></>}</span> },
    { key: 'email', label: 'Address', cell: (one) => <span class="muted" dir="auto">{one.email}</span>, narrow: 'sub' },
    { key: 'role', label: 'Operator', cell: (one) => one.operator_role && <Badge tone="info">{one.operator_role}</Badge>, narrow: 'side' },
    { key: 'status', label: 'State', cell: (one) => <State state={one.status} />, narrow: 'hide' },
    { key: 'since', label: 'Since', align: 'right', cell: (one) => <Time at={one.created_at} />, narrow: 'hide' },
  ];
  if (owner) {
    columns.push({
      key: 'change', label: '', align: 'right', narrow: 'end',
      cell: (one) => one.person_id !== me?.person_id && (
        <Menu label={`Change ${one.name || one.email}`} button="Change" kind="quiet" align="right" items={[
          { label: 'Operator', heading: true },
          ...roles.map((role) => ({
            label: role ?? 'none', chosen: role === (one.operator_role ?? null),
            run: () => {
              const before = one.operator_role ?? null;
              if (role !== before) void change(one, { operator_role: role }, { operator_role: before }, role === null ? 'No operator any more.' : `Operator with role ${role}.`);
            },
          })),
          { label: 'Make a link for a new password', run: () => void makeLink.run(one) },
          { label: 'Take the second factor off', run: () => setUnlocked(one) },
          one.status === 'active'
            ? { label: 'Suspend', danger: true, run: () => void change(one, { status: 'suspended' }, { status: 'active' }, 'Suspended; the sessions have ended.') }
            : { label: 'Let in again', run: () => void change(one, { status: 'active' }, { status: 'suspended' }, 'May sign in again.') },
        ]} />
      ),
    });
  }
  const operators = people.rows?.filter((one) => one.operator_role).length ?? 0;
  // What is counted is counted whole, or not said.
  const state = people.rows && search.q === undefined && (people.hasMore
    ? `${people.rows.length}+ people`
    : `${counted(people.rows.length, 'person', 'people')}, ${operators} of them ${operators === 1 ? 'an operator' : 'operators'}`);
  return (
    <Page title="People" state={state}
      action={owner && <Button kind="primary" busy={makeLink.busy} onClick={() => void makeLink.run(null)}>Invite an owner</Button>}>
      {makeLink.error && <ErrorBox error={makeLink.error} />}
      {search.bar(people)}
      <Table label="People" rows={people.rows} columns={columns} idOf={(one) => one.person_id} error={people.error} onRetry={people.refresh}
        empty={search.empty(people, <Empty command="kvcs admin people">Nobody is here yet.</Empty>)} />
      <Pager shown={people.rows?.length ?? 0} hasMore={people.hasMore} busy={people.busy} onMore={people.more} />
      {unlocked && (
        <Confirm title={`Take the second factor off ${unlocked.name || unlocked.email}`} typed={unlocked.email} action="Take it off" onClose={() => setUnlocked(null)}
          onConfirm={async () => {
            await api.delete('/admin/people/{person_id}/totp', { path: { person_id: unlocked.person_id } });
            toast(`${unlocked.name || unlocked.email} signs in without a second factor.`);
          }}>From now on a password is enough to sign in as this person, until they set a new one up.</Confirm>
      )}
      {link && (
        <Dialog title={link.title} onClose={() => setLink(null)}>
          <Secret label="The link" text={link.url}>Send it to this person alone; it works once, until <Time at={link.until} />.</Secret>
        </Dialog>
      )}
    </Page>
  );
}
