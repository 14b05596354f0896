//! Which connections stay and which are closed.

use futures_util::FutureExt;

use super::*;

const MANY: usize = 1000;

fn address(host: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, host])
}

async fn enter(connections: &Arc<Connections>, host: u8) -> Arc<Guest> {
    Arc::new(connections.enter(Some(address(host)), false, MANY).await)
}

fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

fn left(guest: &Guest) -> bool {
    guest.evict.is_cancelled()
}

/// Ends when it is evicted, like a connection's task.
fn attend(guest: Arc<Guest>) {
    tokio::spawn(async move { guest.evicted().await });
}

#[tokio::test(start_paused = true)]
async fn the_address_with_the_most_strangers_gives_way_with_its_oldest() {
    let connections = Connections::new(4, MANY);
    let device = enter(&connections, 1).await;
    let mut crowd = Vec::new();
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(1)).await;
        crowd.push(enter(&connections, 2).await);
    }
    for _ in 0..10 {
        let oldest = crowd.remove(0);
        connections.make_room();
        assert!(left(&oldest) && !left(&device));
        drop(oldest);
        tokio::time::advance(Duration::from_secs(1)).await;
        crowd.push(enter(&connections, 2).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_shown_a_key_stays_however_many_come() {
    let connections = Connections::new(2, MANY);
    let device = enter(&connections, 1).await;
    device.authenticated(&user("anna"));
    drop(device.served());
    for host in 0..200 {
        let before = Instant::now();
        attend(enter(&connections, host).await);
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
    assert!(!left(&device));
}

/// In a flood, all who come later would wait for the ends of those that were closed.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_the_end_of_the_connection_that_he_replaces() {
    let connections = Connections::new(2, MANY);
    let mut closing = Vec::new();
    for host in 0..200 {
        let before = Instant::now();
        closing.push(enter(&connections, host).await);
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
    assert_eq!(closing.iter().filter(|guest| !left(guest)).count(), 2);
}

/// So it is where `max_connections` is all that the limit of open files allows.
#[tokio::test(start_paused = true)]
async fn strangers_make_room_also_where_there_is_no_socket_to_spare() {
    let connections = Connections::new(2, 2);
    let mut strangers = vec![enter(&connections, 1).await, enter(&connections, 2).await];
    let mut newcomer = std::pin::pin!(enter(&connections, 9));
    assert!(newcomer.as_mut().now_or_never().is_none());
    assert!(left(&strangers[0]) && !left(&strangers[1]));
    strangers.remove(0);
    assert!(newcomer.now_or_never().is_some());
    assert!(!left(&strangers[0]));
}

#[tokio::test(start_paused = true)]
async fn closed_connections_hold_few_sockets() {
    let connections = Connections::new(2, 4);
    let mut closing = Vec::new();
    for host in 0..4 {
        closing.push(enter(&connections, host).await);
    }
    let mut newcomer = std::pin::pin!(enter(&connections, 9));
    assert!(newcomer.as_mut().now_or_never().is_none());
    closing.remove(0);
    assert!(newcomer.now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn who_has_shown_least_goes_first() {
    let connections = Connections::new(4, MANY);
    let [idle, serving, waiting, stranger] = [
        enter(&connections, 1).await,
        enter(&connections, 1).await,
        enter(&connections, 1).await,
        enter(&connections, 2).await,
    ];
    idle.authenticated(&user("anna"));
    drop(idle.served());
    serving.authenticated(&user("anna"));
    waiting.admitted();
    for next in [&stranger, &waiting, &idle] {
        assert!(!left(next));
        connections.make_room();
        assert!(left(next));
    }
    connections.make_room();
    assert!(!left(&serving));
}

#[tokio::test(start_paused = true)]
async fn a_user_keeps_no_more_than_a_quarter_when_others_need_a_place() {
    let connections = Connections::new(8, MANY);
    let mut held = Vec::new();
    for number in 0..8 {
        held.push(enter(&connections, number).await);
        let name = if number == 0 { "ben" } else { "anna" };
        held[usize::from(number)].authenticated(&user(name));
    }
    for _ in 0..20 {
        connections.make_room();
    }
    let stayed: Vec<_> = held.iter().map(|guest| !left(guest)).collect();
    assert_eq!(stayed.iter().filter(|stays| **stays).count(), 3);
    assert!(stayed[0], "ben's");
}

#[tokio::test(start_paused = true)]
async fn strangers_of_one_address_make_room_for_each_other() {
    let connections = Connections::new(100, MANY);
    let mut guests = Vec::new();
    for _ in 0..5 {
        guests.push(connections.enter(Some(address(1)), false, 3).await);
    }
    let gone: Vec<_> = guests.iter().map(left).collect();
    assert_eq!(gone, [true, true, false, false, false]);
    let other = connections.enter(Some(address(2)), false, 3).await;
    assert!(!left(&other));
}

#[tokio::test(start_paused = true)]
async fn a_proxys_connections_count_for_the_clients_that_it_names() {
    let connections = Connections::new(100, MANY);
    let mut guests = Vec::new();
    for _ in 0..10 {
        guests.push(Arc::new(connections.enter(Some(address(1)), true, 3).await));
    }
    assert!(!guests.iter().any(|guest| left(guest)));
    for guest in &guests {
        guest.request_from(Some(address(7)), 3);
    }
    let gone = guests.iter().filter(|guest| left(guest)).count();
    assert_eq!(gone, 7);
    // An answered request does not count any more.
    drop(guests[9].served());
    guests[8].request_from(None, 3);
    let newcomer = connections.enter(None, true, 3).await;
    newcomer.request_from(Some(address(7)), 3);
    assert!(!left(&guests[7]) && !left(&newcomer));
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_all_are_served_waits_for_one_to_end() {
    let connections = Connections::new(4, MANY);
    let mut served = Vec::new();
    for name in ["anna", "ben", "cleo", "dora"] {
        let guest = enter(&connections, 1).await;
        guest.authenticated(&user(name));
        served.push(guest);
    }
    assert!(
        tokio::time::timeout(Duration::from_secs(60), enter(&connections, 2))
            .await
            .is_err()
    );
    let before = Instant::now();
    // The newcomer is polled first.
    let (_newcomer, ()) = tokio::join!(enter(&connections, 2), async { drop(served[0].served()) });
    assert!(left(&served[0]));
    let (_newcomer, ()) = tokio::join!(enter(&connections, 3), async { drop(served.remove(1)) });
    // Woken at once.
    assert_eq!(before.elapsed(), Duration::ZERO);
}
