// The portal: how people sign in, whom an organization is shared with, and what it pays for. It is
// a door of its own beside artifacts, gateway and ai; what those need of it, such as the limits of
// a plan, App passes to them as functions.
//
// Records that a request may need (people, memberships, sessions) are identity's. The parts here:
//   passwords.h     argon2id on threads of its own, and which passwords are refused
//   sign_in.h       the setup link, local accounts, sessions as they begin and end
//   sign_in_api.h   /auth/* of local accounts
//   providers.h     auth.providers: whose sign-ins count, and what they may
//   arrivals.h      who comes through a provider: found, or made
//   bearers.h       whom the bearers of those providers stand for
//   oidc_api.h      /auth/login/{provider}, /auth/callback, sign-out told by an issuer
//   mailer.h        mail to people, in its own time
//   reset.h         links for a new password; reset_api.h: their routes
//   totp.h          the second factor of local accounts; totp_api.h: its routes
//   device_api.h    /auth/device: the sign-in of a command line without a browser
//   device_flow.h   devices that wait until a person has let them in
//   dev_issuer.h, dev_issuer_api.h  /oidc: an issuer inside the daemon, for development
//   me_api.h        /api/v1/me: who is calling, what is active, the caller's sessions
//   places_api.h    organizations and projects as people see them
//   invitations.h   links by which somebody joins an organization
//   team_api.h      members and invitations over HTTP
//   history_api.h   the audit of an organization, for its members
//   people_api.h    what operators do with people, under /admin
//   plans.h         what an organization may have
//   plans_api.h     plans and what is used of them, over HTTP
//   billing/        what is paid for through Stripe
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/secret.h"
#include "identity/sessions.h"

namespace kvcs::portal {

// Who may make an account of their own: whoever signs in through a provider, whoever is invited
// (or has a role by a provider's claims), nobody but a provider's admins.
enum class SignUp : uint8_t { kOpen, kInvited, kClosed };
inline std::optional<SignUp> parse_sign_up(std::string_view word) {
  if (word == "open") return SignUp::kOpen;
  if (word == "invited") return SignUp::kInvited;
  if (word == "closed") return SignUp::kClosed;
  return std::nullopt;
}

// `default` of the file of plans, member by member; -1: what the file says.
struct PlansConfig {
  std::string file;  // "" = the shipped one.
  int64_t organizations = -1, projects = -1, artifacts = -1, storage_bytes = -1;
};

// Billing is on when both secrets are there; one alone is a fault of the configuration.
struct BillingConfig {
  std::string stripe_url = "https://api.stripe.com";
  Secret secret_key;      // STRIPE_SECRET_KEY
  Secret webhook_secret;  // STRIPE_WEBHOOK_SECRET: one, or several with commas between them.
};

// The provider of sessions that begin with a local account's password. No other has this name.
inline constexpr std::string_view kByPassword = "password";

struct PortalConfig {
  SessionLimits sessions;
  std::string providers;    // YAML text, "" for none; providers.h.
  std::string sign_up;      // "open", "invited", "closed"; "" by the next.
  bool dev_issuer = false;  // See dev_issuer.h.
  PlansConfig plans;
  BillingConfig billing;
};

// Mail to people; mailer.h.
struct MailConfig {
  std::string smtp_url;  // "" = none is sent.
  std::string password_file, password_env;
  std::string from;
};

// Precondition: parse_sign_up() takes the word, or there is none.
inline SignUp sign_up_of(const PortalConfig& config) {
  if (config.sign_up.empty()) return config.dev_issuer ? SignUp::kOpen : SignUp::kInvited;
  return parse_sign_up(config.sign_up).value_or(SignUp::kInvited);
}

}  // namespace kvcs::portal
