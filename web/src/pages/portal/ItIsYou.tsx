// Asks for the password again, before what a session alone may not do.
import type { Schema } from '../../api/client';
import { Dialog, Field, Form } from '../../ui';

export function ItIsYou({
  act,
  onClose,
}: {
  act: (body: Schema<'CurrentPassword'>) => Promise<unknown>;
  onClose: () => void;
}) {
  return (
    <Dialog title="It is you?" onClose={onClose}>
      <Form
        submit="Go on"
        onCancel={onClose}
        onSubmit={({ current_password = '' }) =>
          act(current_password === '' ? {} : { current_password })
        }
      >
        <Field
          name="current_password"
          label="Your password"
          type="password"
          autocomplete="current-password"
          hint="Left empty if you have none: then a sign-in of the last five minutes counts."
        />
      </Form>
    </Dialog>
  );
}
