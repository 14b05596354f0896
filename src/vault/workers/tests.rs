use std::sync::mpsc;

use tokio::{task::JoinHandle, time::timeout};

use super::*;
use crate::{vault::Error, work};

const SOON: Duration = Duration::from_secs(20);

type Running = JoinHandle<Result<(), Error>>;

/// Work that reports its beginning, and ends when it is interrupted.
fn endless(share: &Share, began: &mpsc::Sender<()>) -> Running {
    let (share, began) = (share.clone(), began.clone());
    tokio::spawn(async move {
        share
            .run(move || {
                began.send(()).unwrap();
                loop {
                    work::check()?;
                    std::thread::sleep(Duration::from_millis(1));
                }
            })
            .await
    })
}

fn running(workers: &Workers) -> usize {
    workers.0.running().len()
}

async fn until_running(workers: &Workers, number: usize) {
    let reached = async {
        while running(workers) != number {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(SOON, reached).await.unwrap();
}

#[tokio::test]
async fn a_user_has_few_of_the_threads_and_who_waits_takes_none() {
    let workers = Workers::default();
    let (greedy, other) = (workers.share(), workers.share());
    let (began, _all) = mpsc::channel();
    let jobs: Vec<Running> = (0..40).map(|_| endless(&greedy, &began)).collect();
    until_running(&workers, threads_of_a_user()).await;
    let answer = other.run(|| Ok::<_, Error>(7));
    assert_eq!(timeout(SOON, answer).await.unwrap().unwrap(), 7);
    let stranger = workers.strangers();
    let answer = stranger.run(|| Ok::<_, Error>(8));
    assert_eq!(timeout(SOON, answer).await.unwrap().unwrap(), 8);
    assert_eq!(running(&workers), threads_of_a_user());
    workers.stop();
    for job in jobs {
        let ended = timeout(SOON, job).await.unwrap().unwrap();
        assert!(matches!(
            ended,
            Err(Error::Interrupted(Interrupted::Stopping))
        ));
    }
}

#[tokio::test]
async fn all_users_together_leave_threads_for_strangers_and_the_server() {
    let workers = Workers::default();
    let (began, _all) = mpsc::channel();
    let users: Vec<Share> = (0..16).map(|_| workers.share()).collect();
    let jobs = users
        .iter()
        .flat_map(|user| (0..threads_of_a_user()).map(|_| endless(user, &began)));
    let jobs: Vec<Running> = jobs.collect();
    until_running(&workers, USERS).await;
    let answer = workers.strangers().run(|| Ok::<_, Error>(8)).await;
    assert_eq!(answer.unwrap(), 8);
    timeout(SOON, spawn_blocking(|| ())).await.unwrap().unwrap();
    assert!(!workers.are_stuck(), "they are busy");
    drop(jobs);
    workers.stop();
}

#[tokio::test]
async fn one_file_of_a_user_is_checked_at_a_time() {
    let workers = Workers::default();
    let share = workers.share();
    let (go, wait) = mpsc::channel::<()>();
    let check = |wait: Option<mpsc::Receiver<()>>| {
        let share = share.clone();
        tokio::spawn(async move {
            let check = move || Ok::<_, Error>(wait.map(|wait| wait.recv()));
            share.run_on_file(1, check).await.map(drop)
        })
    };
    let first = check(Some(wait));
    until_running(&workers, 1).await;
    let second = check(None);
    share.run(|| Ok::<_, Error>(())).await.unwrap();
    assert!(!second.is_finished());
    go.send(()).unwrap();
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_thread_is_free_again_once_the_client_has_left() {
    let workers = Workers::default();
    let (began, first) = mpsc::channel();
    let job = endless(&workers.share(), &began);
    until_running(&workers, 1).await;
    first.recv().unwrap();
    job.abort();
    until_running(&workers, 0).await;
}

#[tokio::test]
async fn a_stop_waits_neither_for_a_thread_that_does_not_return_nor_for_those_behind_it() {
    let workers = Workers::default();
    let share = workers.share();
    let (go, wait) = mpsc::channel::<()>();
    let stuck = share.clone();
    let stuck = tokio::spawn(async move {
        let work = move || Ok::<_, Error>(wait.recv().is_ok());
        stuck.run_on_file(1, work).await
    });
    until_running(&workers, 1).await;
    let behind = share.run_on_file(1, || Ok::<_, Error>(true));
    workers.begin_to_stop();
    assert!(
        share.run(|| Ok::<_, Error>(true)).await.unwrap(),
        "what is short is still done"
    );
    for ended in [
        timeout(SOON, behind).await.unwrap(),
        timeout(SOON, stuck).await.unwrap().unwrap(),
    ] {
        assert!(matches!(
            ended,
            Err(Error::Interrupted(Interrupted::Stopping))
        ));
    }
    assert_eq!(running(&workers), 1);
    go.send(()).unwrap();
}
