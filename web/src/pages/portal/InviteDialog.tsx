// Makes an invitation; its link is shown once.
import { useState } from 'preact/hooks';
import { api, type Schema } from '../../api/client';
import { invalidate } from '../../api/query';
import type { Role } from '../../api/session';
import { Dialog, Field, Form, Secret, Select, Time } from '../../ui';
import { rolesUpTo, roleWords } from './roles';

export function InvitationLink({ made }: { made: Schema<'InvitationCreated'> }) {
  return (
    <>
      <Secret label="The link" text={made.url}>
        {made.email === null ? 'Whoever opens this link joins, once.' : <>Only <b dir="auto">{made.email}</b> can use this link, once.</>}
        {' '}{made.mailed ? 'It is on its way by mail. ' : 'Send it yourself. '}It is not shown again.
      </Secret>
      <p class="muted">It works until <Time at={made.expires_at} />.</p>
    </>
  );
}

export function InviteDialog({ own, onClose }: { own: Role; onClose: () => void }) {
  const [made, setMade] = useState<Schema<'InvitationCreated'> | null>(null);
  return (
    <Dialog title="Invite somebody" onClose={onClose}>
      {made ? <InvitationLink made={made} /> : (
        <Form submit="Make the link" onCancel={onClose} onSubmit={async ({ email = '', role = 'member' }) => {
          const body = { role: role as Role, ...(email.trim() !== '' && { email: email.trim() }) };
          setMade(await api.post('/api/v1/invitations', { body }));
          invalidate('/api/v1/invitations');
        }}>
          <Field name="email" label="E-mail address" type="email" autocomplete="off"
            hint="Left empty, the link is for whoever opens it first. Leave it empty for somebody who signs in here by password already: an address is taken by a new account, or by one whose provider of sign-ins has verified it." />
          <Select name="role" label="Role" value="member"
            choices={rolesUpTo(own).map((role) => ({ value: role, label: roleWords[role] }))} />
        </Form>
      )}
    </Dialog>
  );
}
