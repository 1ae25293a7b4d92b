//! What messages look like, and what they may leave out.

use super::*;

#[test]
fn events_accept_more_than_they_know() {
    let born = r#"{"ev":"born","slot":1,"incarnation":2,"pid":3,"colour":"red"}"#;
    assert!(matches!(
        serde_json::from_str(born).unwrap(),
        HostEvent::Born {
            slot: 1,
            incarnation: 2,
            pid: 3
        }
    ));
    let newer = r#"{"ev":"weather","sun":true}"#;
    assert!(matches!(
        serde_json::from_str(newer).unwrap(),
        HostEvent::Unknown
    ));
    assert!(serde_json::from_str::<HostEvent>(r#"{"ev":"born","slot":-1}"#).is_err());
}

#[test]
fn options_have_defaults() {
    let collected: HostEvent = serde_json::from_str(
        r#"{"ev":"collected","options":{"workers":4,"verbose":-1,"max_worker_restart":null},"tests":2,"inventory_len":9}"#,
    )
    .unwrap();
    let HostEvent::Collected(collected) = collected else {
        panic!("{collected:?}")
    };
    assert_eq!(collected.options.workers, 4);
    assert_eq!(collected.options.verbose, -1);
    assert_eq!(collected.options.max_worker_restart, None);
    assert!(!collected.options.whole, "nothing is forgotten unasked");
    assert!(!collected.warm);
}

#[test]
fn requests_look_as_the_protocol_says() {
    let go = HostRequest::Go {
        segment: "/rpytest-1-2",
        slots: 4,
        timings: false,
    };
    assert_eq!(
        serde_json::to_string(&go).unwrap(),
        r#"{"op":"go","segment":"/rpytest-1-2","slots":4,"timings":false}"#
    );
    assert_eq!(
        serde_json::to_string(&HostRequest::Interrupt).unwrap(),
        r#"{"op":"interrupt"}"#
    );
    assert_eq!(
        serde_json::to_string(&PlainRequest::STOP).unwrap(),
        r#"{"op":"stop","protocol":2}"#
    );
}
