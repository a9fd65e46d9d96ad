// Behind the link of an invitation: whoever is signed in is asked whether to join, and joins by a
// request of their own; everybody else gets the form that makes an account.
import { api } from '../../api/client';
import { useAction } from '../../api/query';
import { loadMe, useMe } from '../../api/session';
import type { PageProps } from '../../areas';
import { href, navigate, useTitle } from '../../router';
import { Button, ErrorBox, toast } from '../../ui';
import { Begin } from './BeginPage';

export default function InvitationPage({ query }: PageProps) {
  const token = query.get('token') ?? '';
  const me = useMe();
  useTitle('Join the organization');
  const { run, busy, error } = useAction(async () => {
    await api.post('/api/v1/invitations/accept', { body: { token } });
    await loadMe();
    // The link is spent: it leaves the address, and with it the history.
    navigate(href('/'), { replace: true });
    toast('You have joined the organization.');
  });
  if (!me) return <Begin way="invitation" token={token} />;
  return (
    <>
      <h1>Join the organization</h1>
      <p>You were invited, and are signed in as {me.name}.</p>
      {error && <ErrorBox error={error} />}
      <p>
        <Button kind="primary" busy={busy} onClick={() => void run()}>
          Join as {me.name}
        </Button>
      </p>
      <p class="small">
        <a href={href('/')}>Not now</a>
      </p>
    </>
  );
}
