//! How long attempts wait, and how many guesses are verified.

use std::sync::atomic::AtomicUsize;

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{sleep, timeout};

use super::*;

const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const HOUR: Duration = Duration::from_secs(3600);
/// How long verifying a password takes.
const WORK: Duration = Duration::from_millis(80);

async fn attempt<'a>(
    throttle: &'a Throttle,
    name: &str,
    password: &str,
) -> Result<Turn<'a>, Refusal> {
    throttle.attempt(Some(ADDRESS), name, password).await
}

async fn waited_at(throttle: &Throttle, address: IpAddr, name: &str) -> Duration {
    let before = Instant::now();
    let turn = throttle.attempt(Some(address), name, "").await;
    assert!(turn.is_ok());
    before.elapsed()
}

async fn waited(throttle: &Throttle, name: &str) -> Duration {
    waited_at(throttle, ADDRESS, name).await
}

async fn fail_at(throttle: &Throttle, address: IpAddr, name: &str, number: usize) {
    let turn = throttle
        .attempt(Some(address), name, ("wrong", number))
        .await;
    turn.ok().unwrap().failed();
}

async fn fail(throttle: &Throttle, name: &str) {
    for number in 0..FREE {
        fail_at(throttle, ADDRESS, name, number).await;
    }
}

#[tokio::test(start_paused = true)]
async fn mistyping_a_few_times_costs_nothing_and_guessing_costs_more_and_more() {
    let throttle = Throttle::default();
    for (number, expected) in [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 20, 20]
        .into_iter()
        .enumerate()
    {
        assert_eq!(waited(&throttle, "alice").await.as_secs(), expected);
        fail_at(&throttle, ADDRESS, "alice", number).await;
    }
    assert_eq!(waited(&throttle, "bob").await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn success_or_time_makes_failures_forgotten() {
    let throttle = Throttle::default();
    fail(&throttle, "alice").await;
    attempt(&throttle, "alice", "right")
        .await
        .ok()
        .unwrap()
        .succeeded();
    assert_eq!(waited(&throttle, "alice").await, Duration::ZERO);
    for number in 10..10 + FREE {
        fail_at(&throttle, ADDRESS, "alice", number).await;
    }
    sleep(MEMORY).await;
    assert_eq!(waited(&throttle, "alice").await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn guesses_made_at_once_are_not_free_either() {
    let throttle = Throttle::default();
    let passwords: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    let mut guesses: FuturesUnordered<_> = passwords
        .iter()
        .map(|password| attempt(&throttle, "alice", password))
        .collect();
    let mut begun = 0;
    let mut turns = Vec::new();
    while let Ok(Some(turn)) = timeout(Duration::from_secs(1), guesses.next()).await {
        if let Ok(turn) = turn {
            begun += 1;
            turns.push(turn);
        }
    }
    assert_eq!(begun, FREE);
}

#[tokio::test(start_paused = true)]
async fn what_was_wrong_a_moment_ago_is_refused_without_a_turn() {
    let throttle = Throttle::default();
    attempt(&throttle, "alice", "wrong")
        .await
        .ok()
        .unwrap()
        .failed();
    let again = attempt(&throttle, "alice", "wrong").await;
    assert_eq!(again.err(), Some(Refusal::KnownToBeWrong));
    assert!(attempt(&throttle, "bob", "wrong").await.is_ok());
    // The attempt that waits with the same password gets the same result.
    fail(&throttle, "alice").await;
    let both = tokio::join!(
        async { attempt(&throttle, "alice", "x").await.map(Turn::failed) },
        attempt(&throttle, "alice", "x")
    );
    assert_eq!(both.1.err(), Some(Refusal::KnownToBeWrong));
}

/// Attackers who guess without a pause, whatever the answer. Counts the guesses that are verified
/// in an hour.
fn guess(throttle: &Arc<Throttle>, threads: usize) -> Arc<AtomicUsize> {
    let (verified, next) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..threads {
        let (throttle, verified, next) = (
            Arc::clone(throttle),
            Arc::clone(&verified),
            Arc::clone(&next),
        );
        tokio::spawn(async move {
            loop {
                let password = next.fetch_add(1, Ordering::Relaxed);
                match throttle.attempt(Some(ADDRESS), "alice", password).await {
                    Ok(turn) => {
                        verified.fetch_add(1, Ordering::Relaxed);
                        sleep(WORK).await;
                        turn.failed();
                    }
                    Err(_) => sleep(Duration::from_secs(1)).await,
                }
            }
        });
    }
    verified
}

/// Three a minute, and the free ones.
fn most_guesses(time: Duration) -> usize {
    usize::try_from(time.as_secs() / LONGEST.as_secs()).unwrap() + 2 * FREE
}

#[tokio::test(start_paused = true)]
async fn more_threads_do_not_guess_faster() {
    for threads in [1, 8, 40] {
        let throttle = Arc::new(Throttle::default());
        let verified = guess(&throttle, threads);
        sleep(HOUR).await;
        let verified = verified.load(Ordering::Relaxed);
        assert!(verified <= most_guesses(HOUR), "{threads}: {verified}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_right_password_gets_in_within_a_minute_beside_those_who_guess() {
    for threads in [1, 4, 8, 12] {
        let throttle = Arc::new(Throttle::default());
        let verified = guess(&throttle, threads);
        let began = Instant::now();
        for _ in 0..8 {
            sleep(Duration::from_secs(41)).await;
            let before = Instant::now();
            let turn = loop {
                if let Ok(turn) = attempt(&throttle, "alice", "right").await {
                    break turn;
                }
                // The time that a person takes to press the button again.
                sleep(Duration::from_secs(3)).await;
            };
            turn.succeeded();
            let took = before.elapsed();
            assert!(took < Duration::from_secs(60), "{threads}: {took:?}");
        }
        // The successful login gave no guess an earlier turn.
        let verified = verified.load(Ordering::Relaxed);
        assert!(
            verified <= most_guesses(began.elapsed()),
            "{threads}: {verified}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_gives_its_turn_away() {
    let throttle = Throttle::default();
    fail(&throttle, "alice").await;
    fail_at(&throttle, ADDRESS, "alice", 10).await;
    let left = timeout(
        Duration::from_millis(100),
        attempt(&throttle, "alice", "gone"),
    )
    .await;
    assert!(left.is_err());
    assert_eq!(
        waited(&throttle, "alice").await,
        Duration::from_millis(1900)
    );
}

#[tokio::test(start_paused = true)]
async fn made_up_names_do_not_make_guessing_free() {
    let throttle = Throttle::default();
    fail(&throttle, "alice").await;
    for number in 0..u32::try_from(ENTRIES).unwrap() + 10 {
        let address = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        fail_at(&throttle, address, "made up", 0).await;
    }
    assert_eq!(waited(&throttle, "alice").await.as_secs(), 1);
    assert_eq!(throttle.origins.lock().unwrap().len(), ENTRIES);
}

#[tokio::test(start_paused = true)]
async fn one_address_fills_little_of_the_memory() {
    let throttle = Throttle::default();
    for number in 0..2000 {
        // Several names share one counter, so some of these have to wait.
        let _ = timeout(
            Duration::from_millis(1),
            attempt(&throttle, &number.to_string(), ""),
        )
        .await
        .map(|turn| turn.map(Turn::failed));
    }
    let known = throttle.origins.lock().unwrap().len();
    assert!(known as u64 <= NAMES, "{known}");
}

#[tokio::test(start_paused = true)]
async fn new_addresses_of_one_subscriber_do_not_make_guessing_free() {
    let throttle = Throttle::default();
    for host in 0..FREE {
        let address = format!("2001:db8::{host}").parse().unwrap();
        fail_at(&throttle, address, "alice", host).await;
    }
    let neighbour = "2001:db8::ffff:1".parse().unwrap();
    assert_eq!(waited_at(&throttle, neighbour, "alice").await.as_secs(), 1);
    let another = "2001:db8:0:1::1".parse().unwrap();
    assert_eq!(waited_at(&throttle, another, "alice").await, Duration::ZERO);
}
