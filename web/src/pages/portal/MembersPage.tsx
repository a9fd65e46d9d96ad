// Who is in the organization with which role, and who is invited.
import { useState } from 'preact/hooks';
import { api, type Schema } from '../../api/client';
import { invalidate, useQuery } from '../../api/query';
import { isOwner, mayManage, type Role, roleOf, useMe } from '../../api/session';
import {
  Badge, Button, type Column, Confirm, counted, Empty, Menu, Page, Section, Table, Time, toast, told, useTyped,
} from '../../ui';
import { Invitations } from './Invitations';
import { InviteDialog } from './InviteDialog';
import { rolesUpTo } from './roles';

type Member = Schema<'Member'>;
const path = '/api/v1/members';

function setRole({ person_id, name, email, role: before }: Member, to: Role): Promise<boolean> {
  const set = (role: Role) => api.patch('/api/v1/members/{person_id}', { path: { person_id }, body: { role } });
  return told(`${name || email} is ${to} from now on.`, () => set(to), path, () => set(before));
}

function RowMenu({ member, own, onRemove, onHandOver }: {
  member: Member; own: Role; onRemove: () => void; onHandOver: (() => void) | undefined;
}) {
  const roles = rolesUpTo(own);
  const items = [
    { label: 'Role', heading: true },
    ...roles.map((role) => ({
      label: role, chosen: role === member.role, run: () => { if (role !== member.role) void setRole(member, role); },
    })),
    ...(onHandOver ? [{ label: 'Hand the organization over', run: onHandOver }] : []),
    { label: 'Remove from the organization', danger: true, run: onRemove },
  ];
  return <Menu label={`Change ${member.name}`} button="Change" kind="quiet" align="right" items={items} />;
}

export default function MembersPage() {
  const me = useMe();
  const [inviting, setInviting] = useState(false);
  const [removed, setRemoved] = useState<Member | null>(null);
  const [heir, setHeir] = useState<Member | null>(null);
  const [leaving, setLeaving] = useState(false);
  const { data, error, refresh } = useQuery(path, (signal) => api.get(path, { signal }));
  const typed = useTyped(data?.members, (one) => `${one.name} ${one.email}`, 'Filter by name or address');
  if (!me) return null;
  const own = roleOf(me);
  const manages = mayManage(me);
  const place = me.organizations?.find((one) => one.organization_id === me.organization_id);
  const columns: Column<Member>[] = [
    {
      key: 'name', label: 'Name',
      cell: (one) => <span dir="auto">{one.name || one.email}{one.person_id === me.person_id && <> <Badge>you</Badge></>}</span>,
    },
    { key: 'email', label: 'Address', cell: (one) => <span dir="auto" class="muted">{one.email}</span>, narrow: 'sub' },
    { key: 'role', label: 'Role', cell: (one) => <Badge tone={one.role === 'owner' ? 'info' : 'none'}>{one.role}</Badge>, narrow: 'side' },
    { key: 'since', label: 'Since', align: 'right', cell: (one) => <Time at={one.since} />, narrow: 'hide' },
  ];
  if (manages) {
    columns.push({
      key: 'change', label: '', align: 'right', narrow: 'end',
      cell: (one) => rolesUpTo(own).includes(one.role) && one.person_id !== me.person_id && (
        <RowMenu member={one} own={own} onRemove={() => setRemoved(one)}
          onHandOver={isOwner(me) && one.role !== 'owner' ? () => setHeir(one) : undefined} />
      ),
    });
  }
  const invite = manages && <Button kind="primary" onClick={() => setInviting(true)}>Invite somebody</Button>;
  return (
    <Page title="Members" action={invite}
      state={data && <>{counted(data.members.length, 'person', 'people')}; your role is {own}</>}>
      {typed.bar}
      <Table label="Members" rows={typed.rows} columns={columns} idOf={(one) => one.person_id} error={error} onRetry={refresh}
        empty={typed.empty(<Empty action={invite} command="kvcs member invite --email ada@example.com --role member">Nobody is here yet.</Empty>)} />
      {manages && <Invitations onInvite={() => setInviting(true)} />}
      <Section title="Leave" note="You lose what your role gives you here at once. The last owner stays.">
        <div class="form-actions">
          <Button kind="danger" onClick={() => setLeaving(true)}>Leave the organization</Button>
        </div>
      </Section>
      {inviting && <InviteDialog own={own} onClose={() => setInviting(false)} />}
      {removed && (
        <Confirm title={`Remove ${removed.name || removed.email}`} action="Remove" onClose={() => setRemoved(null)}
          onConfirm={async () => {
            await api.delete('/api/v1/members/{person_id}', { path: { person_id: removed.person_id } });
            invalidate(path);
            toast(`${removed.name || removed.email} is removed.`);
          }}>
          What this person made stays. Sessions lose the organization at once; an invitation brings the person back.
        </Confirm>
      )}
      {leaving && (
        <Confirm title={`Leave ${place?.name ?? 'the organization'}`} {...(place && { typed: place.slug })} action="Leave"
          onClose={() => setLeaving(false)} onConfirm={async () => {
            await api.delete('/api/v1/members/{person_id}', { path: { person_id: me.person_id ?? '' } });
            location.reload();
          }}>
          What you made stays. Only somebody who is in it can bring you back.
        </Confirm>
      )}
      {heir && (
        <Confirm title={`Hand the organization over to ${heir.name || heir.email}`} {...(place && { typed: place.slug })} action="Hand over"
          onClose={() => setHeir(null)} onConfirm={async () => {
            await api.post('/api/v1/organizations/{org_id}/owner', {
              path: { org_id: me.organization_id ?? '' }, body: { person_id: heir.person_id },
            });
            location.reload();
          }}>
          You become an admin, and cannot take it back yourself.
        </Confirm>
      )}
    </Page>
  );
}
