// Asks for a link that sets a new password.
import { useState } from 'preact/hooks';
import { api } from '../../api/client';
import { href, useTitle } from '../../router';
import { Field, Form } from '../../ui';

export default function ForgotPage() {
  const [isSent, setSent] = useState(false);
  useTitle('A new password');
  return (
    <>
      <h1>A new password</h1>
      {isSent ? (
        <p role="status">
          If there is an account with this address, a link is on its way to it. It works once.
        </p>
      ) : (
        <Form
          submit="Send me a link"
          onSubmit={async ({ email = '' }) => {
            await api.post('/auth/reset', { body: { email } });
            setSent(true);
          }}
        >
          <Field
            name="email"
            label="E-mail address"
            type="email"
            autocomplete="username"
            required
            hint="Without mail, an operator makes the link: kvcs admin reset-link ADDRESS."
          />
        </Form>
      )}
      <p class="small">
        <a href={href('/login')}>Back to signing in</a>
      </p>
    </>
  );
}
