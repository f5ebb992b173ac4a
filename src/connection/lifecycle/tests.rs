//! Every state × fact, as a table, and the histories that the policy decides.

use super::{Action::*, Fact::*, State::*, *};

const SECOND: Duration = Duration::from_secs(1);

fn at(state: State) -> Lifecycle {
    Lifecycle { state, ..Lifecycle::new(RestartPolicy::on_failure()) }
}

fn states() -> Vec<State> {
    let mut states = vec![Idle { epoch: 0 }, Idle { epoch: 3 }];
    states.extend([Starting { epoch: 3 }, Ready { epoch: 3 }]);
    states.extend([false, true].map(|wanted| GoingIdle { epoch: 3, wanted }));
    for gone in [false, true] {
        for asleep in [false, true] {
            states.push(BackingOff { epoch: 3, asleep, gone });
        }
        states.extend([Failed { epoch: 3, gone }, AuthRequired { epoch: 3, gone }]);
    }
    states.extend([Stopping { epoch: 3 }, Stopped { epoch: 3 }]);
    states
}

/// The expected next state and actions; everything that is not listed changes nothing.
fn expected(state: State, fact: Fact) -> (State, Vec<Action>) {
    let backing_off = |asleep, gone| BackingOff { epoch: 3, asleep, gone };
    let opens = (Starting { epoch: 4 }, vec![Open { epoch: 4 }]);
    match (state, fact) {
        (Idle { epoch }, StartAsked | WakeAsked | RestartAsked) => {
            (Starting { epoch: epoch + 1 }, vec![Open { epoch: epoch + 1 }])
        }
        (Idle { epoch }, StopAsked) => (Stopped { epoch }, vec![Finish]),

        (Ready { .. }, WentIdle { epoch: 3 }) => (GoingIdle { epoch: 3, wanted: false }, vec![]),
        (GoingIdle { .. }, WakeAsked) => (GoingIdle { epoch: 3, wanted: true }, vec![]),
        (GoingIdle { .. }, RestartAsked) => (backing_off(false, false), vec![]),
        (GoingIdle { wanted: true, .. }, Gone { epoch: 3 }) => opens,
        (GoingIdle { wanted: false, .. }, Gone { epoch: 3 }) => (Idle { epoch: 3 }, vec![]),
        (GoingIdle { .. }, StopAsked) => (Stopping { epoch: 3 }, vec![Close]),

        (Starting { .. } | Ready { .. }, RestartAsked) => (backing_off(false, false), vec![Close]),
        (
            BackingOff { gone: true, .. }
            | Failed { gone: true, .. }
            | AuthRequired { gone: true, .. },
            RestartAsked,
        ) => opens,
        (
            BackingOff { gone: false, .. }
            | Failed { gone: false, .. }
            | AuthRequired { gone: false, .. },
            RestartAsked,
        ) => (backing_off(false, false), vec![]),

        (
            Starting { .. }
            | Ready { .. }
            | BackingOff { gone: false, .. }
            | Failed { gone: false, .. }
            | AuthRequired { gone: false, .. },
            StopAsked,
        ) => (Stopping { epoch: 3 }, vec![Close]),
        (
            BackingOff { gone: true, .. }
            | Failed { gone: true, .. }
            | AuthRequired { gone: true, .. },
            StopAsked,
        ) => (Stopped { epoch: 3 }, vec![Finish]),

        (Starting { .. } | Ready { .. }, LoginNeeded { epoch: 3 }) => {
            (AuthRequired { epoch: 3, gone: false }, vec![])
        }
        (AuthRequired { .. }, Gone { epoch: 3 }) => (AuthRequired { epoch: 3, gone: true }, vec![]),

        (Starting { .. }, Opened { epoch: 3 }) => (Ready { epoch: 3 }, vec![]),
        (Starting { .. }, StartFailed { epoch: 3, permanent: false })
        | (Ready { .. }, WentDown { epoch: 3 }) => {
            (backing_off(true, false), vec![Sleep { epoch: 3, attempt: 0 }])
        }
        (Starting { .. }, StartFailed { epoch: 3, permanent: true }) => {
            (Failed { epoch: 3, gone: false }, vec![])
        }

        (BackingOff { gone: true, .. }, Slept { epoch: 3 })
        | (BackingOff { asleep: false, .. }, Gone { epoch: 3 }) => opens,
        (BackingOff { gone: false, .. }, Slept { epoch: 3 }) => (backing_off(false, false), vec![]),
        (BackingOff { asleep: true, .. }, Gone { epoch: 3 }) => (backing_off(true, true), vec![]),

        (Failed { .. }, Gone { epoch: 3 }) => (Failed { epoch: 3, gone: true }, vec![]),
        (Stopping { .. }, Gone { epoch: 3 }) => (Stopped { epoch: 3 }, vec![Finish]),
        (state, _) => (state, vec![]),
    }
}

#[test]
fn every_state_takes_every_fact_as_the_table_says() {
    for state in states() {
        for epoch in [2, 3, 4] {
            for fact in [
                StartAsked,
                WakeAsked,
                RestartAsked,
                StopAsked,
                Opened { epoch },
                StartFailed { epoch, permanent: false },
                StartFailed { epoch, permanent: true },
                WentDown { epoch },
                LoginNeeded { epoch },
                WentIdle { epoch },
                Slept { epoch },
                Gone { epoch },
            ] {
                let mut lifecycle = at(state);
                let actions = lifecycle.step(fact, SECOND);
                let got = (lifecycle.state(), actions);
                assert_eq!(got, expected(state, fact), "{state:?} × {fact:?}");
            }
        }
    }
}

#[test]
fn a_late_fact_of_another_epoch_changes_nothing() {
    for state in states() {
        for fact in [Opened { epoch: 2 }, WentDown { epoch: 4 }, Gone { epoch: 2 }] {
            let mut lifecycle = at(state);
            assert_eq!(lifecycle.step(fact, SECOND), []);
            assert_eq!(lifecycle.state(), state);
        }
    }
}

/// Lets the server become ready and die after `uptime`, again and again; the number of starts.
fn starts_of_a_flapping_server(policy: RestartPolicy, uptime: Duration, most: u64) -> u64 {
    let mut lifecycle = Lifecycle::new(policy);
    let mut now = Duration::ZERO;
    lifecycle.step(StartAsked, now);
    loop {
        let epoch = lifecycle.state().epoch();
        lifecycle.step(Opened { epoch }, now);
        now += uptime;
        lifecycle.step(WentDown { epoch }, now);
        lifecycle.step(Gone { epoch }, now);
        lifecycle.step(Slept { epoch }, now);
        if lifecycle.state().epoch() == epoch || epoch == most {
            return epoch;
        }
    }
}

#[test]
fn a_flapping_server_is_given_up_after_the_intensity() {
    let policy = RestartPolicy::on_failure();
    assert_eq!(starts_of_a_flapping_server(policy.clone(), SECOND, 100), 6);
    assert_eq!(starts_of_a_flapping_server(policy, 61 * SECOND, 100), 100, "uptime resets");
    assert_eq!(starts_of_a_flapping_server(RestartPolicy::never(), SECOND, 100), 1);
}

#[test]
fn the_backoff_grows_until_sustained_uptime_resets_it() {
    let mut lifecycle = at(Ready { epoch: 1 });
    let mut attempts = Vec::new();
    for (epoch, uptime) in [(1, 1), (2, 1), (3, 59), (4, 60), (5, 1)] {
        let now = Duration::from_secs(epoch * 100);
        lifecycle.state = Ready { epoch };
        lifecycle.ready_since = Some(now);
        lifecycle.policy.window = 10_000 * SECOND;
        match lifecycle.step(WentDown { epoch }, now + uptime * SECOND)[..] {
            [Sleep { attempt, .. }] => attempts.push(attempt),
            ref other => panic!("{other:?}"),
        }
    }
    assert_eq!(attempts, [0, 1, 2, 0, 1]);
}

#[test]
fn going_idle_counts_as_no_failure() {
    let mut lifecycle = Lifecycle::new(RestartPolicy::never());
    lifecycle.step(WakeAsked, SECOND);
    for epoch in 1..=100 {
        lifecycle.step(Opened { epoch }, SECOND);
        assert_eq!(lifecycle.step(WentIdle { epoch }, SECOND), []);
        assert_eq!(lifecycle.step(Gone { epoch }, SECOND), []);
        assert_eq!(lifecycle.state(), Idle { epoch });
        assert_eq!(lifecycle.step(WakeAsked, SECOND), [Open { epoch: epoch + 1 }]);
    }
}

#[test]
fn a_permanent_cause_is_retried_only_on_request() {
    let fail = StartFailed { epoch: 3, permanent: true };
    let mut lifecycle = at(Starting { epoch: 3 });
    lifecycle.policy = RestartPolicy::always();
    assert_eq!(lifecycle.step(fail, SECOND), [Sleep { epoch: 3, attempt: 0 }]);
}
