//! What it means that there is no secure connection.

use std::error::Error;

use super::Diagnosis;
#[cfg(feature = "http")]
use super::http::chain;

pub(super) fn diagnose(error: &(dyn Error + 'static)) -> Diagnosis {
    #[cfg(feature = "http")]
    if let Some(diagnosis) =
        chain(error).find_map(|error| error.downcast_ref()).and_then(certificate)
    {
        return diagnosis;
    }
    Diagnosis::new(
        "tls_failed",
        format!("the two did not agree on a secure connection ({error})"),
        "check that the URL and the port are those of an https server",
    )
}

#[cfg(feature = "http")]
#[expect(clippy::wildcard_enum_match_arm, reason = "few of them say anything to a host")]
fn certificate(error: &rustls::Error) -> Option<Diagnosis> {
    use rustls::{CertificateError as Bad, Error as Tls};
    Some(match error {
        Tls::InvalidCertificate(Bad::UnknownIssuer) => Diagnosis::new(
            "certificate_unknown",
            "its certificate is signed by nobody who is trusted here: it is self-signed, or of a \
             company's own authority",
            "add the root that signed it by `root_certificate`, or to the system's",
        ),
        Tls::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => Diagnosis::new(
            "certificate_expired",
            "its certificate has expired, or the clock of this machine is wrong",
            "have it renewed where the server runs; check the clock",
        ),
        Tls::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
            Diagnosis::new(
                "certificate_not_yet",
                "its certificate is not valid yet: the clock of this machine, or of its issuer, is wrong",
                "check the clocks",
            )
        }
        Tls::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            Diagnosis::new(
                "certificate_of_another",
                "its certificate is for another host than the one in the URL",
                "use the name that the certificate is for; something between may answer in its place",
            )
        }
        Tls::InvalidCertificate(Bad::Revoked) => Diagnosis::new(
            "certificate_revoked",
            "its certificate was revoked",
            "have it renewed where the server runs",
        ),
        Tls::InvalidMessage(_) => Diagnosis::new(
            "not_tls",
            "what answers there does not speak TLS",
            "begin the URL with http:// if it is meant to be plain, or correct the port",
        ),
        Tls::AlertReceived(_) => Diagnosis::new(
            "certificate_wanted",
            "the server does not want to have to do with us: mostly it wants a client's \
             certificate, or another one",
            "show it one by `client_certificate`",
        ),
        _ => return None,
    })
}
