// Builds the door of people: how they sign in, and what they see of themselves.
#include <algorithm>
#include <memory>

#include "app/build.h"
#include "app/caller_api.h"
#include "app/parts.h"
#include "app/plan_limits.h"
#include "app/planned_deletion.h"
#include "base/kept_clock.h"
#include "base/log.h"
#include "http/client/mail.h"
#include "identity/directory.h"
#include "identity/identity.h"
#include "identity/orgs.h"
#include "identity/projects.h"
#include "ledger/alerts.h"
#include "ops/rate_limit.h"
#include "portal/arrivals.h"
#include "portal/bearers.h"
#include "portal/billing/billing.h"
#include "portal/billing/billing_api.h"
#include "portal/billing/webhooks.h"
#include "portal/dev_issuer.h"
#include "portal/dev_issuer_api.h"
#include "portal/device_api.h"
#include "portal/history_api.h"
#include "portal/invitations.h"
#include "portal/mailer.h"
#include "portal/me_api.h"
#include "portal/oidc_api.h"
#include "portal/passwords.h"
#include "portal/people_api.h"
#include "portal/places_api.h"
#include "portal/plans_api.h"
#include "portal/providers.h"
#include "portal/reset.h"
#include "portal/reset_api.h"
#include "portal/sign_in.h"
#include "portal/sign_in_api.h"
#include "portal/team_api.h"
#include "portal/totp.h"
#include "portal/totp_api.h"

namespace kvcs {
namespace {

std::function<int64_t(std::string_view, int64_t)> take_try(const Parts& parts) {
  return [rates = parts.rates.get()](std::string_view whose, int64_t per_minute) {
    return rates->take(whose, per_minute).retry_after_s;
  };
}

// What the configuration gave before and gives no longer.
void take_back(Parts& parts) {
  auto providers = parts.portal.providers->configured();
  portal::Provider own;  // Its address, and so its issuer, is known once the server listens.
  own.name = portal::kDevIssuerName;
  if (parts.config.auth.dev_issuer) providers.push_back(&own);
  for (const Status& done :
       {portal::take_back_appointments(*parts.people, providers),
        portal::take_back_roles(*parts.kv, *parts.members, *parts.organizations, providers),
        portal::end_sessions_of_the_gone(*parts.kv, *parts.sessions, providers)}) {
    if (!done.ok()) log::error("auth.providers_not_taken_back", {{"error", done.to_string()}});
  }
}

// The tries of one account, or of what else guesses are counted by.
std::function<int64_t(std::string_view)> take_account_try(const Parts& parts) {
  return [take = take_try(parts)](std::string_view whose) {
    return take(whose, portal::kAccountTriesPerMinute);
  };
}

// The issuer is told by client_id who asks: ID tokens are not kept here. It leads the browser back
// to our first page.
std::string end_session_url(Parts& parts, std::string_view name) {
  const portal::Provider* const provider = parts.portal.providers->find(name);
  if (provider == nullptr) return {};
  const Result<std::string> url = provider->issuer->end_session_url(parts.public_url() + "/");
  if (url.ok()) return url.value();
  if (url.code() != Code::kNotFound) {
    log::warn("sign_out.not_elsewhere", {{"provider", name}, {"error", url.status().to_string()}});
  }
  return {};
}

MakerLook look_at_maker(const Parts& parts) {
  return [auth = parts.auth.get()](std::string_view maker) { return auth->may_still(maker); };
}

Result<std::string> first_project(const Parts& parts, std::string_view organization_id) {
  const auto projects = KVCS_TRY(parts.projects->list(organization_id));
  return projects.empty() ? std::string() : projects.front().id;
}

void build_device_api(Parts& parts) {
  parts.portal.device_api = std::make_unique<portal::DeviceApi>(
      portal::DeviceApi::Services{.sign_in = *parts.portal.sign_in,
                                  .people = *parts.people,
                                  .sessions = *parts.sessions,
                                  .clock = parts.clock(),
                                  .entropy = *parts.entropy,
                                  .public_url = [&parts] { return parts.public_url(); },
                                  .take_try = take_account_try(parts)});
}

// Bearers that an issuer signed are looked at when there is an issuer.
void build_bearers(Parts& parts) {
  PortalParts& portal = parts.portal;
  if (portal.providers->empty()) return;
  portal.bearers = std::make_unique<portal::Bearers>(portal::Bearers::Services{
      .providers = *portal.providers,
      .arrivals = *portal.arrivals,
      .people = *parts.people,
      .members = *parts.members,
      .first_project = [&parts](std::string_view id) { return first_project(parts, id); },
      .clock = parts.kept_clock->latest()});
  parts.auth->set_vouched_person(
      [bearers = portal.bearers.get()](std::string_view token, std::string_view sha256_hex) {
        return bearers->find_person(token, sha256_hex);
      });
}

// It is asked over HTTP, as any other issuer is.
Status build_dev_issuer(Parts& parts) {
  PortalParts& portal = parts.portal;
  if (!parts.config.auth.dev_issuer) return ok();
  portal.dev_issuer =
      KVCS_TRY(portal::DevIssuer::create({.kv = *parts.kv,
                                          .sealer = *parts.sealer,
                                          .clock = parts.kept_clock->latest(),
                                          .entropy = *parts.entropy,
                                          .public_url = [&parts] { return parts.public_url(); }}));
  portal.dev_issuer_api = std::make_unique<portal::DevIssuerApi>(
      *portal.dev_issuer, [providers = portal.providers.get()](std::string_view token) {
        return providers->find(portal::kDevIssuerName)->issuer->verify_bearer(token);
      });
  log::warn("dev_issuer.on", {{"means", "whoever reaches this daemon signs in as anybody"}});
  return portal.providers->add_own(
      portal::kDevIssuerName,
      [issuer = portal.dev_issuer.get()] {
        return oauth::IssuerConfig{.name = std::string(portal::kDevIssuerName),
                                   .issuer = issuer->url(),
                                   .client_id = std::string(portal::kDevPortalClient),
                                   .cli_client_id = std::string(portal::kDevCliClient)};
      },
      *parts.upstream, parts.kept_clock->latest(), *parts.entropy);
}

// Sign-in through issuers.
Status build_providers(Parts& parts) {
  PortalParts& portal = parts.portal;
  portal.providers = KVCS_TRY(portal::Providers::read(parts.config.auth.providers, *parts.upstream,
                                                      parts.clock(), *parts.entropy));
  take_back(parts);
  KVCS_TRY(build_dev_issuer(parts));
  portal.arrivals = std::make_unique<portal::Arrivals>(portal::Arrivals::Services{
      .people = *parts.people,
      .members = *parts.members,
      .organizations = *parts.organizations,
      .add_project =
          [&parts](std::string_view organization_id, const AuditContext& who) {
            return parts.projects->add_first(organization_id, who);
          },
      .invitations = *portal.invitations,
      .sign_up = portal::sign_up_of(parts.config.auth),
      .kept_slugs = portal::mapped_slugs(portal.providers->configured())});
  portal.oidc_api = std::make_unique<portal::OidcApi>(portal::OidcApi::Services{
      .providers = *portal.providers,
      .arrivals = *portal.arrivals,
      .sign_in = *portal.sign_in,
      .invitations = *portal.invitations,
      .sessions = *parts.sessions,
      .people = *parts.people,
      .auth = *parts.auth,
      .tickets =
          oauth::TicketStore("sign-in", *parts.kv, *parts.sealer, parts.kept_clock->latest()),
      .entropy = *parts.entropy,
      .browser = parts.browser_rules(),
      .public_url = [&parts] { return parts.public_url(); },
      .take_try = take_try(parts)});
  return ok();
}

void build_billing(Parts& parts) {
  PortalParts& portal = parts.portal;
  const portal::BillingConfig& config = parts.config.auth.billing;
  const auto alert = [&parts](const AlertEvent& event) {
    raise_alert(*parts.kv, event, parts.clock(), *parts.entropy);
  };
  portal.billing = std::make_unique<portal::Billing>(
      portal::Billing::Services{.config = config,
                                .plans = *parts.plans,
                                .organizations = *parts.organizations,
                                .kv = *parts.kv,
                                .upstream = *parts.upstream,
                                .metrics = *parts.metrics,
                                .clock = parts.clock(),
                                .latest = parts.kept_clock->latest(),
                                .public_url = [&parts] { return parts.public_url(); },
                                .alert = alert});
  portal.webhooks =
      std::make_unique<portal::Webhooks>(*portal.billing, config, *parts.kv, *parts.metrics,
                                         parts.clock(), parts.kept_clock->latest(), alert);
  portal.billing_api =
      std::make_unique<portal::BillingApi>(*portal.billing, *portal.webhooks, parts.clock());
  parts.before_organization_goes = [&parts](std::string_view organization_id) {
    return parts.portal.billing->end_subscription(organization_id);
  };
}

// Mail, and what a lost password leads to.
Status build_reset(Parts& parts) {
  PortalParts& portal = parts.portal;
  if (const auto server = KVCS_TRY(portal::read_mail_server(parts.config.mail))) {
    const auto send = [server = *server,
                       ca_file = parts.config.upstream.ca_file](const portal::Letter& letter) {
      return http::send_mail({server.url, server.user, server.password, server.from, letter.to,
                              letter.subject, letter.text, ca_file, server.requires_tls});
    };
    portal.mailer = std::make_unique<portal::Mailer>(send, parts.clock());
  }
  portal.reset = std::make_unique<portal::ResetService>(portal::ResetService::Services{
      .kv = *parts.kv,
      .audited = *parts.audited,
      .people = *parts.people,
      .sessions = *parts.sessions,
      .hasher = *portal.hasher,
      .clock = parts.kept_clock->latest(),
      .entropy = *parts.entropy,
      .public_url = [&parts] { return parts.public_url(); },
      .take_try = take_account_try(parts),
      .forgive =
          [rates = parts.rates.get()](std::string_view whose) {
            rates->adjust(whose, portal::kAccountTriesPerMinute, -portal::kAccountTriesPerMinute);
          },
      .may_still = look_at_maker(parts),
      .mailer = portal.mailer.get()});
  portal.reset_api = std::make_unique<portal::ResetApi>(*portal.reset, parts.browser_rules());
  return ok();
}

void build_me_api(Parts& parts) {
  PortalParts& portal = parts.portal;
  portal.me_api = std::make_unique<portal::MeApi>(portal::MeApi::Services{
      .auth = *parts.auth,
      .directory = *parts.directory,
      .people = *parts.people,
      .members = *parts.members,
      .sessions = *parts.sessions,
      .projects = *parts.projects,
      .browser = parts.browser_rules(),
      .has_second_factor =
          [totp = portal.totp.get()](std::string_view person_id) { return totp->is_on(person_id); },
      .confirm = [sign_in = portal.sign_in.get()](const http::Request& request,
                                                  const portal::Proof& proof) -> Status {
        return sign_in->confirm_factors(request.principal, proof, portal::caller_of(request));
      },
      .provider_of =
          [providers = portal.providers.get()](std::string_view issuer) {
            if (issuer == kLocalIssuer) return std::string(portal::kByPassword);
            const auto* const found = providers->find_by_issuer(issuer);
            return found ? found->name : std::string();
          },
      .describe_key = caller_api::describer(*parts.directory, *parts.projects),
      .give_up = [&parts](
                     std::string_view id,
                     const AuditContext& who) { return parts.planned_deletions->plan(id, who); }});
}

}  // namespace

Status build_portal(Parts& parts) {
  PortalParts& portal = parts.portal;
  // What the end of a link, a ticket or an invitation is counted from, and compared with.
  const Clock& latest = parts.kept_clock->latest();
  portal.hasher = std::make_unique<portal::PasswordHasher>();
  portal.totp =
      std::make_unique<portal::TotpService>(*parts.kv, *parts.audited, *parts.sealer, parts.clock(),
                                            latest, *parts.entropy, take_account_try(parts));
  portal.sign_in = std::make_unique<portal::SignInService>(portal::SignInService::Services{
      .kv = *parts.kv,
      .audited = *parts.audited,
      .people = *parts.people,
      .members = *parts.members,
      .sessions = *parts.sessions,
      .hasher = *portal.hasher,
      .totp = *portal.totp,
      .tickets = oauth::TicketStore("second-step", *parts.kv, *parts.sealer, latest),
      .entropy = *parts.entropy,
      .clock = latest,
      .find_organization = [&parts](std::string_view slug) -> Result<std::string> {
        return KVCS_TRY(parts.organizations->find_by_slug(slug)).id;
      },
      .first_project = [&parts](std::string_view id) { return first_project(parts, id); },
      .take_try = take_try(parts),
      .sign_up = portal::sign_up_of(parts.config.auth),
      .may_still = look_at_maker(parts)});
  portal.totp_api =
      std::make_unique<portal::TotpApi>(*portal.totp, *parts.people, *portal.sign_in, *parts.auth);
  portal.sign_in_api = std::make_unique<portal::SignInApi>(
      *portal.sign_in, *parts.sessions, *parts.people, parts.browser_rules(),
      [&parts](std::string_view provider) { return end_session_url(parts, provider); });
  portal.invitations = std::make_unique<portal::InvitationService>(
      portal::InvitationService::Services{.kv = *parts.kv,
                                          .audited = *parts.audited,
                                          .members = *parts.members,
                                          .people = *parts.people,
                                          .organizations = *parts.organizations,
                                          .clock = latest,
                                          .entropy = *parts.entropy});
  KVCS_TRY(build_providers(parts));
  build_bearers(parts);
  KVCS_TRY(build_reset(parts));
  portal.team_api = std::make_unique<portal::TeamApi>(
      *parts.members, *parts.people, *portal.invitations, *portal.sign_in_api, portal.mailer.get(),
      [rates = parts.rates.get()](std::string_view whose, int64_t per_hour) {
        return rates->take_hourly(whose, per_hour).allowed;
      },
      *parts.directory, [&parts] { return parts.public_url(); });
  portal.places_api = std::make_unique<portal::PlacesApi>(
      *parts.organizations, *parts.projects, *parts.members, *parts.directory,
      portal::mapped_slugs(portal.providers->configured()));
  portal.plans_api = std::make_unique<portal::PlansApi>(
      *parts.plans, *parts.organizations,
      [&parts](std::string_view organization_id) { return plan_use(parts, organization_id); });
  build_billing(parts);
  portal.history_api = std::make_unique<portal::HistoryApi>(*parts.ledger, *parts.kv,
                                                            *parts.projects, *parts.people);
  portal.people_api =
      std::make_unique<portal::PeopleApi>(*parts.people, *parts.sessions, *parts.audited, latest,
                                          *parts.entropy, [&parts] { return parts.public_url(); });
  build_me_api(parts);
  build_device_api(parts);
  return ok();
}

}  // namespace kvcs
