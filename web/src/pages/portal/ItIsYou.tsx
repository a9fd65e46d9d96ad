// Asks for the password again, and for a code where there is a second factor, before what a session
// alone may not do.
import type { Schema } from '../../api/client';
import { useMe } from '../../api/session';
import { AccountName, codeOf, Dialog, Field, Form } from '../../ui';

export function ItIsYou({
  act,
  onClose,
}: {
  act: (body: Schema<'Confirmation'>) => Promise<unknown>;
  onClose: () => void;
}) {
  const me = useMe();
  const asksCode = me?.second_factor === true;
  return (
    <Dialog title="It is you?" onClose={onClose}>
      <Form
        submit="Go on"
        onCancel={onClose}
        onSubmit={({ current_password = '', code = '' }) =>
          act({
            ...(current_password === '' ? {} : { current_password }),
            ...(asksCode ? { code: codeOf(code) } : {}),
          })
        }
      >
        <AccountName address={me?.email} />
        <Field
          name="current_password"
          label="Your password"
          type="password"
          autocomplete="current-password"
          hint="Left empty if you have none: then a sign-in of the last five minutes counts."
        />
        {asksCode && (
          <Field
            name="code"
            label="Code"
            required
            maxLength={40}
            autocomplete="one-time-code"
            hint="Of the authenticator app, or a recovery code."
          />
        )}
      </Form>
    </Dialog>
  );
}
