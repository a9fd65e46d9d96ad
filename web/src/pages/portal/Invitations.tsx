// Invitations that nobody has taken yet.
import { useState } from 'preact/hooks';
import { api, type Schema } from '../../api/client';
import { invalidate, useAction, useQuery } from '../../api/query';
import { Badge, Button, type Column, Dialog, ErrorBox, Section, Table, Time, told } from '../../ui';
import { InvitationLink } from './InviteDialog';

type Invitation = Schema<'Invitation'>;
const path = '/api/v1/invitations';

export function Invitations({ onInvite }: { onInvite: () => void }) {
  const [made, setMade] = useState<Schema<'InvitationCreated'> | null>(null);
  const { data, error, refresh } = useQuery(path, (signal) => api.get(path, { signal }));
  const resend = useAction(async (id: string) => {
    setMade(await api.post('/api/v1/invitations/{invitation_id}/resend', { path: { invitation_id: id } }));
    invalidate(path);
  });
  const withdraw = (one: Invitation) =>
    told(`The link for ${one.email ?? 'whoever opens it'}, as ${one.role}, works no longer.`,
      () => api.delete('/api/v1/invitations/{invitation_id}', { path: { invitation_id: one.invitation_id } }), path);
  const columns: Column<Invitation>[] = [
    { key: 'email', label: 'For', cell: (one) => <span dir="auto">{one.email ?? 'whoever opens the link'}</span> },
    { key: 'role', label: 'Role', cell: (one) => <Badge>{one.role}</Badge>, narrow: 'side' },
    { key: 'made', label: 'Made', cell: (one) => <Time at={one.created_at} />, narrow: 'hide' },
    { key: 'ends', label: 'Works until', align: 'right', cell: (one) => <Time at={one.expires_at} />, narrow: 'sub' },
    {
      key: 'change', label: '', align: 'right', narrow: 'end',
      cell: (one) => (
        <>
          <Button kind="quiet" busy={resend.busy} onClick={() => void resend.run(one.invitation_id)}>New link</Button>
          <Button kind="quiet" onClick={() => void withdraw(one)}>Withdraw</Button>
        </>
      ),
    },
  ];
  if (data?.invitations.length === 0) return null;
  return (
    <Section title="Invited" action={<Button kind="quiet" onClick={onInvite}>Invite another</Button>}>
      {resend.error && <ErrorBox error={resend.error} />}
      <Table label="Invitations" rows={data?.invitations} columns={columns} idOf={(one) => one.invitation_id} error={error}
        onRetry={refresh} />
      {made && <Dialog title="The new link" onClose={() => setMade(null)}><InvitationLink made={made} /></Dialog>}
    </Section>
  );
}
