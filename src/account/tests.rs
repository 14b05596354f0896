use std::collections::HashMap;

use super::*;

fn accounts() -> Accounts {
    let users = [("alice", "a-secret"), ("bob", "b-secret")]
        .map(|(name, password)| (name.parse().unwrap(), Credential::plain(password).unwrap()));
    Accounts::new(
        HashMap::from(users),
        Secret::new([1; 32]),
        Devices::in_memory(),
    )
}

#[tokio::test]
async fn a_login_gives_a_key_that_names_the_device() {
    let accounts = accounts();
    let (device, key) = accounts
        .login("alice", "a-secret".into(), None)
        .await
        .unwrap();
    assert_eq!(
        accounts.authenticate(&key.to_string()).await.unwrap(),
        device
    );
    let (second, _) = accounts
        .login("alice", "a-secret".into(), None)
        .await
        .unwrap();
    assert_ne!(second.id, device.id);
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_are_told_the_same() {
    let accounts = accounts();
    // "carol" is verified as one of the users; that user's password must not let her in.
    for (user, password) in [
        ("alice", "b-secret"),
        ("carol", "a-secret"),
        ("carol", "b-secret"),
    ] {
        let refused = accounts.login(user, password.into(), None).await;
        assert!(matches!(refused, Err(LoginError::Wrong(_))), "{user}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_may_be_typed_in_upper_or_lower_case_if_that_is_nobody_elses() {
    let users = ["anna", "Jürgen Groß", "ben", "Ben", "cleo"]
        .map(|name| (name.parse().unwrap(), Credential::plain(name).unwrap()));
    let mut users = Users::from(HashMap::from(users));
    users.mistakes.push(users::Mistake {
        place: "users, line 6".into(),
        user: Some("Cleo".parse().unwrap()),
        what: "is wrong".into(),
    });
    let accounts = Accounts::new(users, Secret::new([1; 32]), Devices::in_memory());
    for (typed, user) in [
        ("Anna", Some("anna")),
        ("ANNA", Some("anna")),
        ("JÜRGEN GROSS", Some("Jürgen Groß")),
        // The same characters in other bytes.
        ("ju\u{308}rgen groß", Some("Jürgen Groß")),
        ("Ben", Some("Ben")),
        ("BEN", None),
        ("cleo", Some("cleo")),
        ("Cleo", None),
        ("CLEO", None),
        ("annab", None),
    ] {
        for password in ["anna", "Jürgen Groß", "ben", "Ben", "cleo"] {
            let login = accounts.login(typed, password.into(), None).await;
            let got = login.map(|(device, key)| (device.user.to_string(), key));
            if user == Some(password) {
                let (got, key) = got.unwrap();
                assert_eq!(got, password, "{typed}");
                // Everything else uses the name in the list.
                assert_eq!(HostKey::parse(&key.to_string()).unwrap().user, password);
            } else {
                assert!(got.is_err(), "{typed} {password}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn other_spellings_give_no_more_attempts() {
    let accounts = accounts();
    let began = tokio::time::Instant::now();
    let address = Some("192.0.2.1".parse().unwrap());
    let spellings = ["alice", "Alice", "ALICE", "aLice", "alIce"].repeat(2);
    for (number, typed) in spellings.into_iter().enumerate() {
        let _ = accounts
            .login(typed, format!("wrong {number}"), address)
            .await;
    }
    assert!(began.elapsed() > std::time::Duration::from_secs(5));
}

#[tokio::test]
async fn a_device_of_somebody_who_is_kept_out_stays_logged_in() {
    let accounts = accounts();
    let login = accounts.login("alice", "a-secret".into(), None).await;
    let (device, key) = login.unwrap();
    let client_info = devices::ClientInfo {
        client: "",
        address: "",
    };
    accounts.devices.seen(&device, client_info);
    let stranger = HostKey::issue(
        &Secret::new([9; 32]),
        &device.user,
        DeviceId::random().unwrap(),
        &Credential::plain("x").unwrap(),
    );
    for (user, is_kept_out) in [(Some("alice"), true), (None, true), (Some("bob"), false)] {
        let mistake = users::Mistake {
            place: "users, line 2".into(),
            user: user.map(|user| user.parse().unwrap()),
            what: "is wrong".into(),
        };
        accounts.replace(
            Users {
                able: HashMap::new(),
                mistakes: vec![mistake],
            },
            &[],
        );
        let refused = accounts.authenticate(&key.to_string()).await;
        assert_eq!(matches!(refused, Err(KeyError::KeptOut(_))), is_kept_out);
        let refused = accounts.authenticate(&stranger.to_string()).await;
        assert!(matches!(refused, Err(KeyError::Invalid)));
    }
    let refused = accounts.login("bob", "b-secret".into(), None).await;
    assert!(matches!(refused, Err(LoginError::KeptOut)));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_nobody_can_have_is_refused_at_once_however_often() {
    let accounts = accounts();
    let before = tokio::time::Instant::now();
    for name in ["", ".check"].repeat(20) {
        let refused = accounts.login(name, "a-secret".into(), None).await;
        assert!(matches!(refused, Err(LoginError::Name(_))), "{name}");
    }
    assert_eq!(before.elapsed(), std::time::Duration::ZERO);
}

#[tokio::test]
async fn replaced_users_log_out_only_those_who_are_gone_or_changed() {
    let accounts = accounts();
    let (alice, alices_key) = accounts
        .login("alice", "a-secret".into(), None)
        .await
        .unwrap();
    let (_, bobs_key) = accounts
        .login("bob", "b-secret".into(), None)
        .await
        .unwrap();
    let users = [("alice", "a-secret"), ("bob", "new"), ("carol", "c")]
        .map(|(name, password)| (name.parse().unwrap(), Credential::plain(password).unwrap()));
    accounts.replace(HashMap::from(users), &[]);
    assert_eq!(
        accounts
            .authenticate(&alices_key.to_string())
            .await
            .unwrap(),
        alice
    );
    let bobs = accounts.authenticate(&bobs_key.to_string()).await;
    assert!(matches!(bobs, Err(KeyError::Invalid)));
    assert!(accounts.login("carol", "c".into(), None).await.is_ok());
    accounts.replace(Users::default(), &[]);
    assert!(
        accounts
            .authenticate(&alices_key.to_string())
            .await
            .is_err()
    );
    assert!(matches!(
        accounts.login("carol", "c".into(), None).await,
        Err(LoginError::Wrong(_))
    ));
}
