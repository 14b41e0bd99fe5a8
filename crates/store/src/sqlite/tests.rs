use std::sync::Arc;

use grantry_core::store::Store;
use grantry_core::testing::ManualClock;

use crate::Db;

async fn open(clock: ManualClock) -> Arc<dyn Store> {
    Arc::new(Db::temporary(Arc::new(clock)).await.unwrap())
}

crate::contract_tests!(open);
