use super::*;

const ENDLESS: &str =
    "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n";

#[derive(Debug, PartialEq)]
enum Error {
    Interrupted(Interrupted),
    Other,
}

impl From<Interrupted> for Error {
    fn from(interrupted: Interrupted) -> Self {
        Self::Interrupted(interrupted)
    }
}

fn watched() -> Connection {
    let mut conn = Connection::open_in_memory().unwrap();
    watch(&mut conn).unwrap();
    conn
}

fn query(conn: &Connection, sql: &str) -> Result<i64, Error> {
    conn.query_row(sql, [], |row| row.get(0))
        .map_err(|_| Error::Other)
}

fn job(instructions: u64, stop: &Stop) -> Arc<Job> {
    let time = Duration::from_secs(60);
    Arc::new(Job::new(Budget { instructions, time }, stop.clone()))
}

#[test]
fn a_query_ends_when_its_budget_is_used_up_and_the_connection_serves_the_next_job() {
    let conn = watched();
    let first = job(1_000_000, &Stop::default());
    let ended = first.run(|| query(&conn, ENDLESS));
    assert_eq!(ended, Err(Error::Interrupted(Interrupted::Exhausted)));
    let second = job(1_000_000, &Stop::default());
    assert_eq!(second.run(|| query(&conn, "select 7")), Ok(7));
    assert_eq!(query(&conn, "select 8"), Ok(8));
}

#[test]
fn a_query_ends_when_the_client_leaves() {
    let conn = watched();
    let job = job(u64::MAX, &Stop::default());
    let leaving = Arc::clone(&job);
    let client = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        leaving.abandon();
    });
    let ended = job.run(|| query(&conn, ENDLESS));
    assert_eq!(ended, Err(Error::Interrupted(Interrupted::Left)));
    client.join().unwrap();
    assert_eq!(
        job.run(|| query(&conn, "select 7")),
        Err(Error::Interrupted(Interrupted::Left)),
        "what nobody waits for is not begun"
    );
}

#[test]
fn a_query_ends_when_the_server_does() {
    let (conn, stop) = (watched(), Stop::default());
    stop.begin();
    assert_eq!(
        job(1, &stop).run(|| query(&conn, "select 7")),
        Ok(7),
        "what is short is finished"
    );
    stop.at_once();
    let ended = job(u64::MAX, &stop).run(|| query(&conn, ENDLESS));
    assert_eq!(ended, Err(Error::Interrupted(Interrupted::Stopping)));
}

#[test]
fn what_would_have_to_be_begun_again_outlasts_the_client_but_not_the_server() {
    let (conn, stop) = (watched(), Stop::default());
    let job = job(u64::MAX, &stop);
    let many = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 10000) \
                select max(i) from n";
    let ended = job.run(|| {
        job.abandon();
        assert_eq!(to_the_end(|| query(&conn, many)), Ok(10_000));
        query(&conn, many)
    });
    assert_eq!(ended, Err(Error::Interrupted(Interrupted::Left)));
    let another = Arc::new(Job::new(Budget::REQUEST, stop.clone()));
    let ended = another.run(|| {
        stop.at_once();
        to_the_end(|| query(&conn, ENDLESS))
    });
    assert_eq!(ended, Err(Error::Interrupted(Interrupted::Stopping)));
}

#[test]
fn a_failure_is_its_own_cause_unless_the_job_was_interrupted() {
    let job = job(u64::MAX, &Stop::default());
    assert_eq!(job.run(|| Err::<(), _>(Error::Other)), Err(Error::Other));
    let ended = job.run(|| {
        job.abandon();
        check().unwrap_err();
        Err::<(), _>(Error::Other)
    });
    assert_eq!(ended, Err(Error::Interrupted(Interrupted::Left)));
}

#[test]
fn a_panic_leaves_no_job_behind() {
    let abandoned = job(u64::MAX, &Stop::default());
    let running = Arc::clone(&abandoned);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        running.run(|| -> Result<(), Error> { panic!("on purpose") })
    }));
    assert!(panicked.is_err());
    abandoned.abandon();
    assert_eq!(check(), Ok(()));
}

#[test]
fn what_an_interruption_has_left_can_be_settled_by_the_same_job() {
    let conn = watched();
    let job = job(u64::MAX, &Stop::default());
    let settled = job.run(|| {
        job.abandon();
        assert_eq!(query(&conn, ENDLESS), Err(Error::Other));
        let long = format!("{ENDLESS} limit 10000").replace("from n)", "from n limit 10000)");
        assert_eq!(to_the_end(|| query(&conn, &long)), Ok(10_000));
        assert_eq!(query(&conn, ENDLESS), Err(Error::Other));
        Ok::<_, Error>(())
    });
    assert_eq!(settled, Ok(()));
}
